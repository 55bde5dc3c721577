package auth

import (
	"net/http"
	"slices"
	"strings"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// cookies makes and finds the cookies of the mode oidc. With https their names
// start with __Host-: browsers then insist on Secure, Path=/ and no Domain, so no
// other host, not even a subdomain, can set them (RFC 6265bis, 4.1.3.2). On a
// plain-http localhost they have neither the prefix nor Secure.
type cookies struct {
	secure   bool
	sameSite http.SameSite
	// partitioned keeps the cookies apart for each site that embeds the application.
	partitioned bool
}

func (c cookies) name(suffix string) string {
	if c.secure {
		return "__Host-dropgate-" + suffix
	}
	return "dropgate-" + suffix
}

func (c cookies) make(name, value string, sameSite http.SameSite) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure is false on a plain-http localhost alone
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: c.secure, SameSite: sameSite, Partitioned: c.partitioned,
	}
}

// deleted returns a cookie that deletes another in the browser.
func (c cookies) deleted(name string, sameSite http.SameSite) *http.Cookie {
	cookie := c.make(name, "", sameSite) //nolint:gosec // likewise
	cookie.MaxAge = -1
	return cookie
}

// session returns the key of the request's session, errNoCredential without a
// cookie, and a *Rejection for a bad one. Browsers send one __Host- cookie per
// name, so a second one, even with the same value, comes from elsewhere.
func (c cookies) session(r *http.Request) (session.Key, error) {
	given := r.CookiesNamed(c.name("session"))
	if len(given) == 0 {
		return session.Key{}, errNoCredential
	}
	if len(given) > 1 {
		return session.Key{}, &Rejection{Mode: oidcName, Kind: Ambiguous, Reason: "several session cookies"}
	}
	key, ok := session.KeyOf(given[0].Value)
	if !ok {
		return session.Key{}, &Rejection{Mode: oidcName, Kind: Invalid, Reason: "the session cookie holds no session id"}
	}
	return key, nil
}

// maxSessionCookies bounds the sessions to end for one request. A browser has one
// session cookie. An attacker's headers can hold hundreds, and each costs a call
// to the store.
const maxSessionCookies = 4

// sessions returns the keys of the sessions in the request's cookies.
func (c cookies) sessions(r *http.Request) []session.Key {
	var keys []session.Key
	given := r.CookiesNamed(c.name("session"))
	for _, cookie := range given[:min(len(given), maxSessionCookies)] {
		if key, ok := session.KeyOf(cookie.Value); ok && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c cookies) newSession(id clienttoken.Secret) *http.Cookie {
	// Without Max-Age the cookie ends with the browser. The store limits the
	// session's life.
	return c.make(c.name("session"), id.Reveal(), c.sameSite)
}

func (c cookies) deletedSession() *http.Cookie {
	return c.deleted(c.name("session"), c.sameSite)
}

// owns reports whether this name belongs to one of the mode's cookies.
func (c cookies) owns(name string) bool {
	return name == c.name("session") || strings.HasPrefix(name, c.name("login-"))
}

// logins returns the cookies of the browser's pending sign-ins.
func (c cookies) logins(r *http.Request) []*http.Cookie {
	var found []*http.Cookie
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, c.name("login-")) {
			found = append(found, cookie)
		}
	}
	return found
}

// loginSameSite is Lax, because the browser must send the cookie on the way back from
// the provider, another site. In a frame it sends only None.
func (c cookies) loginSameSite() http.SameSite {
	if c.partitioned {
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

func (c cookies) newLogin(name, value string) *http.Cookie {
	cookie := c.make(name, value, c.loginSameSite()) //nolint:gosec // likewise
	cookie.MaxAge = int(loginMemory.Seconds())
	return cookie
}

func (c cookies) deletedLogin(name string) *http.Cookie {
	return c.deleted(name, c.loginSameSite())
}
