package auth

import (
	"net/http"
	"slices"
	"strings"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// cookies makes and finds the cookies of the mode oidc. With https their names
// begin with __Host-, so that browsers take them only with Secure, Path=/ and no
// Domain, and no other host, not even a subdomain, can set them (RFC 6265bis,
// 4.1.3.2). On a plain-http localhost they are named otherwise and lack Secure.
type cookies struct {
	secure   bool
	sameSite http.SameSite
}

func (c cookies) name(of string) string {
	if c.secure {
		return "__Host-dropgate-" + of
	}
	return "dropgate-" + of
}

func (c cookies) make(name, value string, sameSite http.SameSite) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure is false on a plain-http localhost alone
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: c.secure, SameSite: sameSite,
	}
}

// deleted is the cookie that makes a browser forget one.
func (c cookies) deleted(name string, sameSite http.SameSite) *http.Cookie {
	cookie := c.make(name, "", sameSite) //nolint:gosec // likewise
	cookie.MaxAge = -1
	return cookie
}

// cookieValues are the different values of a request's cookies of one name.
func cookieValues(r *http.Request, name string) []string {
	var values []string
	for _, cookie := range r.CookiesNamed(name) {
		if !slices.Contains(values, cookie.Value) {
			values = append(values, cookie.Value)
		}
	}
	return values
}

// session returns the key of the request's session, errNotMine without a
// cookie, and a *Rejection for a bad one. Browsers keep one __Host- cookie of a
// name, so that a second one, even of the same value, is not from them.
func (c cookies) session(r *http.Request) (session.Key, error) {
	given := r.CookiesNamed(c.name("session"))
	if len(given) == 0 {
		return session.Key{}, errNotMine
	}
	if len(given) > 1 {
		return session.Key{}, &Rejection{Mode: oidcName, Reason: "several session cookies"}
	}
	key, ok := session.KeyOf(given[0].Value)
	if !ok {
		return session.Key{}, &Rejection{Mode: oidcName, Reason: "the session cookie holds no session id"}
	}
	return key, nil
}

// maxSessionCookies is of how many cookies of one request the sessions are
// ended. A browser has one; a stranger's headers hold hundreds, and each costs
// the store a call.
const maxSessionCookies = 4

// sessions returns the keys of the sessions that the request's cookies name.
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
	// Without Max-Age: it ends with the browser, and the session at the latest
	// when the store says so.
	return c.make(c.name("session"), id.Reveal(), c.sameSite)
}

func (c cookies) deletedSession() *http.Cookie {
	return c.deleted(c.name("session"), c.sameSite)
}

// ours reports whether a cookie of that name is one of the service's own.
func (c cookies) ours(name string) bool {
	return name == c.name("session") || strings.HasPrefix(name, c.name("login-"))
}

// logins returns the cookies of the sign-ins that the browser has begun.
func (c cookies) logins(r *http.Request) []*http.Cookie {
	var found []*http.Cookie
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, c.name("login-")) {
			found = append(found, cookie)
		}
	}
	return found
}

// newLogin is Lax: the browser has to send it when it comes back from the
// provider, which is another site.
func (c cookies) newLogin(name, value string) *http.Cookie {
	cookie := c.make(name, value, http.SameSiteLaxMode) //nolint:gosec // likewise
	cookie.MaxAge = int(loginLife.Seconds())
	return cookie
}

func (c cookies) deletedLogin(name string) *http.Cookie {
	return c.deleted(name, http.SameSiteLaxMode)
}
