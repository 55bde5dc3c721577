package auth_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// browser stores cookies like a real browser.
type browser struct {
	t       *testing.T
	w       *oidcHarness
	origin  string
	cookies map[string]*http.Cookie
	ends    map[string]time.Time
}

func (w *oidcHarness) browser(t *testing.T) *browser {
	t.Helper()
	return &browser{t, w, origin, map[string]*http.Cookie{}, map[string]time.Time{}}
}

// keep stores cookies. It refuses violations of the __Host- prefix (RFC 6265bis,
// 4.1.3.2) and Secure cookies on a plain page.
func (b *browser) keep(cookies []*http.Cookie) {
	for _, c := range cookies {
		b.w.op.addSecrets(c.Value)
		https := strings.HasPrefix(b.origin, "https://")
		if c.Secure && !https || strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != "") {
			b.t.Errorf("a browser does not take the cookie %s", c.Name)
			continue
		}
		delete(b.ends, c.Name)
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else if c.MaxAge > 0 {
			b.ends[c.Name] = time.Now().Add(time.Duration(c.MaxAge) * time.Second)
		}
	}
}

// request returns a request from the same site, or on the way back from the
// provider. The latter lacks Strict cookies.
func (b *browser) request(method, target string, crossSite bool) *http.Request { //nolint:revive // a property of the request
	r := httptest.NewRequestWithContext(b.t.Context(), method, b.origin+target, http.NoBody)
	if r.Header.Set("Sec-Fetch-Site", "same-origin"); crossSite {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		c := b.cookies[name]
		if ends, ok := b.ends[name]; ok && !time.Now().Before(ends) || crossSite && c.SameSite == http.SameSiteStrictMode {
			continue
		}
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

// begin starts a sign-in and returns the provider's URL.
func (b *browser) begin(returnTo string) *url.URL {
	b.t.Helper()
	login, err := b.w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login?"+url.Values{"return_to": {returnTo}}.Encode(), false))
	if err != nil {
		b.t.Fatalf("begin: %v", err)
	}
	b.keep(login.Cookies)
	return must(url.Parse(login.URL))
}

// callback returns from the provider, and loads the callback again if the page asks.
func (b *browser) callback(query url.Values) (auth.Login, error) {
	b.t.Helper()
	login, err := b.complete(b.request(http.MethodGet, callbackOf(query), true))
	if login.LoadAgain {
		return b.complete(b.request(http.MethodGet, callbackOf(query), false))
	}
	return login, err
}

// landed returns from the provider, and returns the request by which the page loads
// the callback again.
func (b *browser) landed(query url.Values) *http.Request {
	b.t.Helper()
	login, err := b.complete(b.request(http.MethodGet, callbackOf(query), true))
	if !login.LoadAgain || err != nil {
		b.t.Fatalf("back from the provider: %+v (%v)", login, err)
	}
	return b.request(http.MethodGet, callbackOf(query), false)
}

func callbackOf(query url.Values) string { return "/dropgate/auth/callback?" + query.Encode() }

func (b *browser) complete(r *http.Request) (auth.Login, error) {
	b.t.Helper()
	login, err := b.w.oidc.Complete(r)
	b.keep(login.Cookies)
	b.checkNoSecret(err)
	if err != nil && (login.User != "" || b.cookieNamed(login.Cookies, "session") != nil) {
		b.t.Errorf("an error (%v) and a session of %q", err, login.User)
	}
	return login, err
}

// checkNoSecret fails if the error, or a wrapped one, holds a secret.
func (b *browser) checkNoSecret(err error) {
	b.t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		checkNoSecret(b.t, err, b.w.op.allSecrets()...)
	}
}

// signIn signs in alice, or the provider's configured user.
func (b *browser) signIn() auth.Login {
	b.t.Helper()
	login, err := b.callback(b.w.op.authorize(b.begin("")))
	if err != nil {
		b.t.Fatalf("sign-in: %v", err)
	}
	return login
}

// checkSignInFails signs in and expects an error with this code.
func (b *browser) checkSignInFails(code string) {
	b.t.Helper()
	_, err := b.callback(b.w.op.authorize(b.begin("")))
	checkProtocol(b.t, err, code)
}

// who returns the verdict on the browser's session.
func (b *browser) who(method string) string {
	return verdict(b.w.oidc.Authenticate(b.request(method, "/client-tokens", false), nil))
}

// checkUser checks the verdict on the browser's session.
func (b *browser) checkUser(want string) {
	b.t.Helper()
	if got := b.who(http.MethodGet); got != want {
		b.t.Errorf("%v after the start: %s, want %s", time.Since(midnight), got, want)
	}
}

// copied returns another browser with the same cookies.
func (b *browser) copied() *browser {
	return &browser{b.t, b.w, b.origin, maps.Clone(b.cookies), maps.Clone(b.ends)}
}

// cookieNamed returns the first cookie with part in its name, or nil.
func (b *browser) cookieNamed(cookies []*http.Cookie, part string) *http.Cookie {
	if i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return strings.Contains(c.Name, part) && c.MaxAge >= 0 }); i >= 0 {
		return cookies[i]
	}
	return nil
}

// logins returns the names of the login cookies.
func (b *browser) logins() []string {
	var names []string
	for name := range b.cookies {
		if strings.Contains(name, "login-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func checkProtocol(t *testing.T, err error, code string) {
	t.Helper()
	_ = reasonOf(t, err, code)
}

// reasonOf returns the reason of a ProtocolError with this code.
func reasonOf(t *testing.T, err error, code string) string {
	t.Helper()
	wrong, ok := err.(*auth.ProtocolError) //nolint:errorlint // the type itself is the promise
	if !ok || wrong.Code != code || wrong.Reason == "" {
		t.Errorf("%v (a %T), want a ProtocolError %s with a reason", err, err, code)
		return ""
	}
	return wrong.Reason
}

func checkFailure(t *testing.T, err error) {
	t.Helper()
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter <= 0 {
		t.Errorf("%v (a %T), want a Failure Unavailable with RetryAfter", err, err)
	}
}

func canceled(r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	return r.WithContext(ctx)
}

// nobody is the mode's verdict on a browser without a session.
const nobody = "error: no credential of this kind"
