package handler_test

import (
	"net/http"
	"net/url"
	"testing"

	"dropgate/internal/auth"
)

func withPages(appURL, errorURL string) func(*setup) {
	return withSignIn(configured(func(c *auth.OIDCConfig) { c.AppURL, c.ErrorURL = appURL, errorURL }))
}

func TestErrorPageLeadsBackToTheApplication(t *testing.T) {
	for appURL, want := range map[string]string{"": "/", "/shop?a=b&c": "/shop?a=b&c", app + "/shop": app + "/shop"} {
		w := newWorld(t, allowedOrigins(app), withPages(appURL, ""))
		if want[0] == '/' {
			want = w.url + want
		}
		b := w.browser(t)
		a := b.open("/auth/callback?state=x")
		if a.shows(t, http.StatusBadRequest, "state_unknown"); a.page.home != want {
			t.Errorf("the page leads back to %q, want %q", a.page.home, want)
		}
		a = b.open(b.back(b.begin(""), alice))
		if got := a.header.Get("Location"); got != want {
			t.Errorf("a sign-in without return_to ends at %q, want %q", got, want)
		}
	}
}

func TestErrorPagesHeadingFitsItsCause(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	good := b.back(b.begin("/"), alice)
	w.store.has(down)
	for address, want := range map[string]string{
		"/auth/callback?state=x":                "Sign-in failed",
		"/auth/login?login_hint=a&login_hint=b": "Sign-in failed",
		good:                                    "Sign-in is temporarily unavailable",
	} {
		if a := b.open(address); a.page == nil || a.page.heading != want {
			t.Errorf("%s: answer %d %s, want %q", address, a.status, a.body, want)
		}
	}
	w.store.has(oddly)
	another := b.back(b.begin("/"), alice)
	if a := b.open(another); a.page == nil || a.page.heading != "Something went wrong" {
		t.Errorf("answer %d %s", a.status, a.body)
	}
	canceled := mangled(t, b.back(b.begin("/"), alice), map[string][]string{"code": nil, "error": {"access_denied"}})
	if a := b.open(canceled); a.page == nil || a.page.heading != "Sign-in canceled" {
		t.Errorf("answer %d %s", a.status, a.body)
	}
}

func TestApplicationsOwnErrorPageGetsTheReason(t *testing.T) {
	for errorURL, origin := range map[string]string{"/oh/no": "", app + "/oh/no": app} {
		w := newWorld(t, allowedOrigins(app), withPages("", errorURL))
		if origin == "" {
			origin = w.url
		}
		b := w.browser(t)
		known := mangled(t, b.back(b.begin("/x?a=b&c"), alice), map[string][]string{"iss": nil})
		for address, want := range map[string]url.Values{
			known: {"error": {"issuer_mismatch"}, "return_to": {"/x?a=b&c"}},
			"/auth/callback?state=" + url.QueryEscape(`"<&`):     {"error": {"state_unknown"}},
			"/auth/login?return_to=/y&login_hint=a&login_hint=b": {"error": {"return_to"}, "return_to": {"/y"}},
		} {
			a := b.open(address)
			want.Set("request_id", a.header.Get("X-Request-Id"))
			if got := a.header.Get("Location"); a.status != http.StatusSeeOther || got != origin+"/oh/no?"+want.Encode() {
				t.Errorf("%s: answer %d to %q, want %q", address, a.status, got, want.Encode())
			}
		}
	}
}

func TestApplicationsOwnErrorPageIsForPeople(t *testing.T) {
	w := newWorld(t, withPages("", "/oh/no"), limits(0, 9))
	b := w.browser(t)
	for range 9 {
		b.follow("/auth/callback?state=x")
	}
	a := b.follow("/auth/login?return_to=/y")
	if to, err := url.Parse(a.header.Get("Location")); err != nil || to.Query().Get("error") != "TooManyRequests" || to.Query().Get("return_to") != "/y" {
		t.Errorf("answer %d to %v", a.status, to)
	}
	if a = b.send(w.request(nobody, http.MethodGet, "/auth/login")); a.status != http.StatusTooManyRequests {
		t.Errorf("a script gets %d", a.status)
	}
}

func TestRepeatedCallbackGoesOnWithTheSession(t *testing.T) {
	w := newWorld(t, withPages("/home", ""))
	b := w.browser(t)
	address := b.back(b.begin("/x"), alice)
	begun := b.logins()
	if a := b.open(address); a.header.Get("Location") != w.url+"/x" {
		t.Fatalf("answer %d (%s)", a.status, a.access.Reason)
	}
	id, mark := b.session(), w.logs.mark()
	before := w.series()[`dropgate_logins_total{outcome="succeeded",reason="none"}`]
	again := b.follow(address, header("Sec-Fetch-Site", "same-origin"))
	if again.status != http.StatusSeeOther || again.header.Get("Location") != w.url+"/home" {
		t.Errorf("answer %d to %q (%s)", again.status, again.header.Get("Location"), again.access.Reason)
	}
	w.wantEntries(t, mark)
	if _, exchanges := w.wire.seen(); exchanges != 1 || b.session() != id || len(again.header["Set-Cookie"]) != 0 {
		t.Errorf("the repeated callback redeems a code or changes the session: %v", again.header)
	}
	if now := w.series()[`dropgate_logins_total{outcome="succeeded",reason="none"}`]; now != before {
		t.Errorf("%s sign-ins are counted, before %s", now, before)
	}
	b.isSignedIn(alice)

	// A stranger's callback, a dead session, and an outage are no reason to go on.
	w.store.has(down)
	again = b.follow(address, header("Sec-Fetch-Site", "same-origin"))
	again.shows(t, http.StatusBadRequest, "state_unknown")
	w.store.has(nil)
	b.logout()
	b.keep(&http.Cookie{Name: sessionCookie, Value: id, Path: "/"})
	again = b.follow(address, header("Sec-Fetch-Site", "same-origin"))
	again.shows(t, http.StatusBadRequest, "state_unknown")
	b.keep(begun...)
	again = b.open(address)
	again.shows(t, http.StatusBadRequest, "code_refused")
	if again.page.again != "/auth/login?return_to=%2Fx" {
		t.Errorf("the page leads to %q", again.page.again)
	}
}
