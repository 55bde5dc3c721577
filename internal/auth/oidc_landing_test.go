package auth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// foreignBegin starts a sign-in after a link from another site, so without the
// session cookie.
func (b *browser) foreignBegin() url.Values {
	b.t.Helper()
	login, err := b.w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login", true))
	if err != nil {
		b.t.Fatalf("begin: %v", err)
	}
	b.keep(login.Cookies)
	return b.w.op.authorize(must(url.Parse(login.URL)))
}

// The first answer may leave without a Strict cookie, so it must change nothing.
func TestFirstCallbackOnlyAsksToLoadAgain(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		before, query := b.copied(), w.op.authorize(b.begin("/page"))
		asked := w.store.asked()
		login, err := b.complete(b.request(http.MethodGet, callbackOf(query), true))
		if err != nil || !login.LoadAgain || login.URL != "" || login.User != "" || login.Named != "" || login.ReturnTo != "/page" {
			t.Fatalf("%+v (%v)", login, err)
		}
		if len(login.Cookies) != 1 || !strings.Contains(login.Cookies[0].Name, "login-") || login.Cookies[0].SameSite != http.SameSiteLaxMode {
			t.Errorf("cookies %v", login.Cookies)
		}
		if w.op.grants[query.Get("code")].used || w.store.asked() != asked {
			t.Error("the code was redeemed, or the store was asked")
		}
		before.checkUser(aliceCookie)
		if login, err = b.complete(b.request(http.MethodGet, callbackOf(query), false)); err != nil || login.URL != origin+"/page" {
			t.Errorf("%+v (%v)", login, err)
		}
		b.checkUser(aliceCookie)
		before.checkUser(refused)
	})
}

func TestSignInFromForeignLinkReplacesSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		before := b.copied()
		if _, err := b.callback(b.foreignBegin()); err != nil {
			t.Fatal(err)
		}
		before.checkUser(refused)
		b.checkUser(aliceCookie)
	})
}

// Without a page, as after a reload by the user, the session known to Begin ends.
func TestCallbackWithoutStrictCookiesStillReplaces(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		before, query := b.copied(), w.op.authorize(b.begin(""))
		_ = b.landed(query)
		if _, err := b.complete(b.request(http.MethodGet, callbackOf(query), true)); err != nil {
			t.Fatal(err)
		}
		before.checkUser(refused)
	})
}

// A second tab's session is newer than the one known to Begin.
func TestLaterTabReplacesTheOtherTabsSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		one, two := w.op.authorize(b.begin("")), w.op.authorize(b.begin(""))
		if _, err := b.callback(one); err != nil {
			t.Fatal(err)
		}
		before := b.copied()
		if _, err := b.callback(two); err != nil {
			t.Fatal(err)
		}
		before.checkUser(refused)
		b.checkUser(aliceCookie)
	})
}

// An attacker can make a browser begin a sign-in, and can send it to the callback.
func TestUnfinishedSignInEndsNoSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b, mallory := w.browser(t), w.browser(t)
		b.signIn()
		query := b.foreignBegin()
		b.checkUser(aliceCookie)
		_ = b.landed(query)
		b.checkUser(aliceCookie)
		_, err := b.callback(url.Values{"state": query["state"], "error": {"access_denied"}, "iss": {issuer}})
		checkProtocol(t, err, "access_denied")
		b.checkUser(aliceCookie)
		_, err = b.callback(w.op.authorize(mallory.begin("")))
		checkProtocol(t, err, "state_unknown")
		b.checkUser(aliceCookie)
	})
}

// The landing must not prolong a sign-in, or move its start behind a logout.
func TestLandingKeepsTheSignInsStart(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		advance(9 * time.Minute)
		again := b.landed(query)
		advance(time.Minute)
		_, err := b.complete(again)
		checkProtocol(t, err, "state_expired")
		query = w.op.authorize(b.begin(""))
		advance(time.Second)
		if _, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutToken(nil)); err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		_, err = b.callback(query)
		checkProtocol(t, err, "logged_out")
	})
}
