package provider_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// endSession returns the URL of /end_session with a query of names and values.
func (w *world) endSession(pairs ...string) string {
	query := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return w.issuer + "/end_session?" + query.Encode()
}

// logoutToken verifies and returns the next logout token for that client.
func (w *world) logoutToken(client string) *oidc.LogoutToken {
	w.t.Helper()
	select {
	case raw := <-w.received:
		token, err := w.verifier(client).VerifyLogout(w.t.Context(), raw)
		if err != nil {
			w.t.Fatalf("%s: %v", raw, err)
		}
		header, err := base64.RawURLEncoding.DecodeString(raw[:strings.Index(raw, ".")])
		if err != nil || !strings.Contains(string(header), `"typ":"logout+jwt"`) {
			w.t.Errorf("its header is %s", header)
		}
		if life := token.Expiry.Sub(token.IssuedAt); life != 2*time.Minute {
			w.t.Errorf("it lives for %v", life)
		}
		return token
	default: // ending a session waits for the clients
		w.t.Fatal("the application got no logout token")
		return nil
	}
}

// noLogoutToken fails the test when the application got another logout token.
func (w *world) noLogoutToken() {
	w.t.Helper()
	select {
	case raw := <-w.received:
		w.t.Errorf("the application got %s", raw)
	default:
	}
}

// isSignedIn reports whether the provider lets b pass without the login page.
func (w *world) isSignedIn(b *browser) bool {
	w.t.Helper()
	return b.open(w.oauth("first").AuthCodeURL("")).answer().Has("code")
}

func TestEndSessionReturnsAndNotifiesTheClient(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			who := w.redeem("first", w.signIn(b, "first", "alice"))
			at := b.do(method, w.endSession("id_token_hint", who.raw, "client_id", "first",
				"post_logout_redirect_uri", w.root+"/bye", "state", "and back"), nil)
			if at.url.String() != w.root+"/bye?state=and+back" {
				t.Errorf("ended at %s (%d %s)", at.url, at.status, at.body)
			}
			if told := w.logoutToken("first"); told.Subject != "alice" || told.SessionID != who.SID || told.TokenID == "" {
				t.Errorf("got %+v, want alice and session %q", told, who.SID)
			}
		})
	}
}

func TestEndSessionAffectsOneBrowser(t *testing.T) {
	w := newWorld(t)
	b, other := w.browser(), w.browser()
	who := w.redeem("first", w.signIn(b, "first", "alice"))
	w.redeem("second", w.signIn(other, "second", "alice"))
	at := b.open(w.endSession("id_token_hint", who.raw))
	if cookies := b.http.Jar.Cookies(at.url); len(cookies) != 0 {
		t.Errorf("left behind: %v", cookies)
	}
	if w.isSignedIn(b) {
		t.Error("the browser is still signed in")
	}
	if !w.isSignedIn(other) {
		t.Error("another browser of alice's is not")
	}
	w.logoutToken("first")
	w.noLogoutToken()
}

func TestEndSessionRefusesAnUnregisteredURI(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	who := w.redeem("first", w.signIn(b, "first", "alice"))
	for name, query := range map[string][]string{
		"with a hint":        {"id_token_hint", who.raw, "post_logout_redirect_uri", w.root + "/elsewhere"},
		"with a client ID":   {"client_id", "first", "post_logout_redirect_uri", w.root + "/elsewhere"},
		"of a stranger":      {"client_id", "stranger", "post_logout_redirect_uri", w.root + "/bye"},
		"with a forged hint": {"id_token_hint", who.raw[:len(who.raw)-9] + "forgeries", "post_logout_redirect_uri", w.root + "/bye"},
	} {
		at := b.open(w.endSession(query...))
		if at.status != http.StatusBadRequest || at.url.Path != "/end_session" {
			t.Errorf("%s: ended at %s with %d", name, at.url, at.status)
		}
		w.noLogoutToken()
		if !w.isSignedIn(b) {
			t.Errorf("%s: the browser is signed out", name)
		}
	}
}

func TestEndSessionWithoutAURIShowsAPage(t *testing.T) {
	for name, query := range map[string][]string{
		"nothing":              nil,
		"a client ID":          {"client_id", "first"},
		"a URI without client": {"post_logout_redirect_uri", "https://evil.example.com/"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			who := w.redeem("first", w.signIn(b, "first", "alice"))
			b.open(w.endSession(query...)).shows(signedOut)
			if told := w.logoutToken("first"); told.SessionID != who.SID {
				t.Errorf("got %q, want %q", told.SessionID, who.SID)
			}
			if w.isSignedIn(b) {
				t.Error("the browser is still signed in")
			}
		})
	}
}

func TestAnotherUsersHintKeepsTheSession(t *testing.T) {
	w := newWorld(t)
	who := w.redeem("first", w.signIn(w.browser(), "first", "bob"))
	b := w.browser()
	w.redeem("first", w.signIn(b, "first", "alice"))
	b.open(w.endSession("id_token_hint", who.raw)).shows(signedOut)
	if told := w.logoutToken("first"); told.Subject != "bob" {
		t.Errorf("got %s", told.Subject)
	}
	w.noLogoutToken()
	if !w.isSignedIn(b) {
		t.Error("alice is signed out")
	}
}

func TestHintWorksAfterKeyRotation(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	who := w.redeem("second", w.signIn(b, "second", "alice"))
	if err := w.provider.Rotate(); err != nil {
		t.Fatal(err)
	}
	b.open(w.endSession("id_token_hint", who.raw)).shows(signedOut)
	w.logoutToken("second")
}

func TestLogoutNotifiesClientsWithoutTheBrowser(t *testing.T) {
	w := newWorld(t)
	who := w.redeem("first", w.signIn(w.browser(), "first", "alice"))
	gone, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(gone, http.MethodGet, w.endSession("id_token_hint", who.raw), http.NoBody)
	w.provider.ServeHTTP(httptest.NewRecorder(), r)
	w.logoutToken("first")
}
