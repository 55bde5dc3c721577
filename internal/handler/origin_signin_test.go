package handler_test

import (
	"net/http"
	"strings"
	"testing"
)

// unsafeRoutes lists all routes with changing methods. Each gets a signed-in
// browser, and returns a request with a good origin.
var unsafeRoutes = map[string]func(*testing.T, *browser) *http.Request{
	"/client-tokens": func(t *testing.T, b *browser) *http.Request {
		t.Helper()
		return b.w.request(nobody, http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`))
	},
	"/auth/logout": func(t *testing.T, b *browser) *http.Request {
		t.Helper()
		return b.w.request(nobody, http.MethodPost, "/auth/logout")
	},
	// The provider's server sends no cookies. A browser there is a trick.
	"/auth/backchannel-logout": func(t *testing.T, b *browser) *http.Request {
		t.Helper()
		return b.w.notice("logout_token=" + b.w.logoutToken(t, alice))
	},
}

func TestUnsafeRoutesRefuseForeignOrigins(t *testing.T) {
	alone := newWorld(t, withSignIn())
	shared := newWorld(t, withSignIn(), allowedOrigins("https://other.example.com", app))
	for _, row := range []struct {
		site, origin  string
		alone, shared bool // accepted where no origin is allowed, and where app is
	}{
		{none, none, false, false}, // the provider's server calls this one
		{none, "OWN", true, true},
		{none, app, false, true},
		{none, evil, false, false},
		{none, "null", false, false},
		{none, "garbage", false, false},
		{"same-origin", none, true, true},
		{"same-origin", "OWN", true, true},
		{"none", none, true, true},
		{"same-site", none, false, false},
		{"same-site", "https://www.example.com", false, false},
		{"same-site", app, false, true},
		{"same-site", "null", false, false},
		{"cross-site", none, false, false},
		{"cross-site", "OWN", false, false},
		{"cross-site", app, false, true},
		{"cross-site", evil, false, false},
		{"cross-site", "null", false, false},
		{"CROSS-SITE", evil, false, false},
		{"unheard-of", none, false, false},
	} {
		for route := range unsafeRoutes {
			statusOf := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}
			server := route == "/auth/backchannel-logout" && row.site == none && row.origin == none
			t.Run(strings.Join([]string{route, row.site, row.origin}, " "), func(t *testing.T) {
				alone.decides(t, route, fromPage(row.site, strings.ReplaceAll(row.origin, "OWN", alone.url)), statusOf[row.alone || server])
			})
			t.Run(strings.Join([]string{route, row.site, row.origin, "where app is allowed"}, " "), func(t *testing.T) {
				shared.decides(t, route, fromPage(row.site, strings.ReplaceAll(row.origin, "OWN", shared.url)), statusOf[row.shared || server])
			})
		}
	}
}

// decides fails t unless a request to an unsafe route gets this status.
func (w *world) decides(t *testing.T, route string, from with, status int) {
	t.Helper()
	b := w.signedIn(t, alice)
	r := unsafeRoutes[route](t, b)
	from(r)
	a := b.send(r)
	if status == http.StatusOK {
		if a.status != status {
			t.Errorf("answer %d (%s), want 200", a.status, a.access.Reason)
		}
		return
	}
	a.refused(t, http.StatusForbidden, "CrossOriginRequest")
	if a.header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie is %q", a.header["Set-Cookie"])
	}
	b.isSignedIn(alice)
}

func TestLogoutNeedsAnOriginEvenWithoutCookie(t *testing.T) {
	w := newWorld(t, withSignIn())
	a := w.do(t, w.request(nobody, http.MethodPost, "/auth/logout"))
	a.refused(t, http.StatusForbidden, "CrossOriginRequest")
	if a.header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie is %q", a.header["Set-Cookie"])
	}
}

func TestAllowedOriginsReadSignInErrors(t *testing.T) {
	w := newWorld(t, withSignIn(), allowedOrigins(app))
	for _, row := range []struct {
		status       int
		method, path string
		mishap       mishap
		withSession  bool
		edits        []with
	}{
		{200, http.MethodPost, "/auth/logout", nil, true, nil},
		{200, http.MethodGet, "/session", nil, true, nil},
		{303, http.MethodGet, "/auth/login", nil, false, nil},
		{400, http.MethodGet, "/auth/login?login_hint=a&login_hint=b", nil, false, nil},
		{400, http.MethodGet, "/auth/callback", nil, false, nil},
		{401, http.MethodPost, "/client-tokens", nil, false, nil},
		{401, http.MethodGet, "/session", nil, false, nil},
		{403, http.MethodPost, "/auth/logout", nil, true, []with{header("Sec-Fetch-Site", "cross-site"), header("Origin", evil)}},
		{415, http.MethodPost, "/auth/backchannel-logout", nil, false, nil},
		{500, http.MethodPost, "/auth/logout", panics, true, nil},
		{503, http.MethodGet, "/session", down, true, nil},
		{503, http.MethodPost, "/client-tokens", down, true, nil},
		{503, http.MethodPost, "/auth/logout", down, true, nil},
	} {
		b := w.browser(t)
		if row.withSession {
			b = w.signedIn(t, alice)
		}
		w.store.has(row.mishap)
		a := b.send(w.request(nobody, row.method, row.path, append([]with{fromPage("cross-site", app)}, row.edits...)...))
		if a.status != row.status {
			t.Errorf("%s: answer %d (%s), want %d", row.path, a.status, a.access.Reason, row.status)
		}
		if row.status == http.StatusForbidden {
			a.readableBy(t, none)
		} else {
			a.readableBy(t, app)
			if exposed := a.header.Get("Access-Control-Expose-Headers"); exposed != "Ratelimit, Ratelimit-Policy, Retry-After, X-Request-Id" {
				t.Errorf("Access-Control-Expose-Headers is %q", exposed)
			}
		}
		a = b.send(w.request(nobody, row.method, row.path, fromPage("cross-site", evil)))
		a.readableBy(t, none)
		w.store.has(nil)
	}
}

func TestLogoutPreflightNeedsAnAllowedOrigin(t *testing.T) {
	w := newWorld(t, withSignIn(), allowedOrigins(app), basePath("/dropgate"))
	for _, path := range []string{"/auth/logout", "/client-tokens"} {
		a := w.preflight(t, path, app)
		a.readableBy(t, app)
		if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Methods") != "POST" {
			t.Errorf("answer %d, Access-Control-Allow-Methods %q", a.status, a.header.Get("Access-Control-Allow-Methods"))
		}
		for _, origin := range []string{evil, "null", app + "."} {
			a = w.preflight(t, path, origin)
			a.readableBy(t, none)
			for name := range a.header {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("a page of %s gets %s: %s", origin, name, a.header[name])
				}
			}
		}
	}
}
