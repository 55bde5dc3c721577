package handler_test

import (
	"net/http"
	"strings"
	"testing"
)

// land begins a sign-in and returns from the provider. It returns the landing page
// and its address.
func (b *browser) land(user string) (page answer, address string) {
	b.t.Helper()
	address = b.back(b.begin("/x"), user)
	page = b.follow(address)
	if page.status != http.StatusOK { // its content is checked by the harness
		b.t.Fatalf("answer %d (%s), want the landing page", page.status, page.access.Reason)
	}
	return page, address
}

func TestSignInLandsOnAPageWithoutEffect(t *testing.T) {
	w := newWorld(t, withSignIn(), basePath("/dropgate"))
	b := w.browser(t)
	b.signIn(alice, "")
	old := b.session()
	mark := w.logs.mark()
	a, address := b.land(alice)
	a.access.has(t, accessLine{Route: "/dropgate/auth/callback", Mode: "oidc", User: empty, Code: empty, Reason: empty})
	w.wantEntries(t, mark)
	if set := (&http.Response{Header: a.header}).Cookies(); len(set) != 1 || !strings.HasPrefix(set[0].Name, "dropgate-login-") {
		t.Errorf("the page sets %v", set)
	}
	if _, exchanges := w.wire.seen(); exchanges != 1 || b.session() != old {
		t.Errorf("%d codes were redeemed, want that of the first sign-in", exchanges)
	}
	if n := w.series()[`dropgate_logins_total{outcome="succeeded",reason="none"}`]; n != "1" {
		t.Errorf("%s sign-ins are counted, want 1", n)
	}
	b.isSignedIn(alice)
	a = b.follow(address, header("Sec-Fetch-Site", "same-origin"))
	if a.status != http.StatusSeeOther || a.header.Get("Location") != w.url+"/x" {
		t.Errorf("answer %d to %q (%s)", a.status, a.header.Get("Location"), a.access.Reason)
	}
	b.isSignedIn(alice)
	if b.session() == old {
		t.Error("the session is the old one")
	}
	b.keep(&http.Cookie{Name: sessionCookie, Value: old, Path: "/"})
	b.isSignedIn(nobody)
}

// TestLandingPageEchoesNothing relies on the harness, which accepts one page only.
func TestLandingPageEchoesNothing(t *testing.T) {
	w := newWorld(t, withSignIn(), trustedProxies("127.0.0.1/32"))
	for _, script := range []string{`"><script>alert(1)</script>`, `javascript:alert(1)`, "{{.}}", `0; url=https://evil.example`} {
		b := w.browser(t)
		address := mangled(t, b.back(b.begin("/"), alice), map[string][]string{"code": {script}, "session_state": {script}, script: {script}})
		a := b.follow(address, header("Origin", evil), header("Referer", evil+"/"+script), header("X-Request-Id", script))
		if a.status != http.StatusOK {
			t.Errorf("answer %d (%s)", a.status, a.access.Reason)
		}
		b.isSignedIn(nobody)
	}
}

// TestLandingPageLoadsAgainOnlyOnce also covers a browser that sends no Strict
// cookie the second time.
func TestLandingPageLoadsAgainOnlyOnce(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	_, address := b.land(alice)
	if a := b.follow(address); a.status != http.StatusSeeOther {
		t.Errorf("answer %d (%s), want 303", a.status, a.access.Reason)
	}
	b.isSignedIn(alice)
	a := b.follow(address)
	a.shows(t, http.StatusBadRequest, "state_unknown")
}

// TestForeignLinkAloneEndsNoSession is the attack of a page that sends its
// visitor to our routes.
func TestForeignLinkAloneEndsNoSession(t *testing.T) {
	w := newWorld(t, withSignIn())
	victim, attacker := w.browser(t), w.browser(t)
	victim.signIn(alice, "")
	_, attackers := attacker.land(bob)
	for _, address := range []string{attackers, "/auth/login", "/auth/callback?state=x&code=y", "/auth/callback?error=access_denied"} {
		victim.open(address)
		victim.isSignedIn(alice)
	}
	victim.land(alice)
	victim.isSignedIn(alice)
}

func TestLandingPageIsLimitedByAddress(t *testing.T) {
	w := newWorld(t, withSignIn(), limits(0, 9))
	b := w.browser(t)
	address := b.back(b.begin("/x"), alice)
	for range 8 {
		b.follow(w.url + "/auth/callback")
	}
	a := b.follow(address)
	a.shows(t, http.StatusTooManyRequests, "TooManyRequests")
}
