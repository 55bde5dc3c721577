package provider_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

func TestEndUserNotifiesEachClientOnce(t *testing.T) {
	w := newWorld(t)
	quiet := w.client("quiet")
	quiet.BackChannelLogoutURI = ""
	w.provider.AddClient(quiet)
	desk, phone, bobs := w.browser(), w.browser(), w.browser()
	w.redeem("first", w.signIn(desk, "first", "alice"))
	w.redeem("first", w.signIn(phone, "first", "alice"))
	w.redeem("quiet", w.signIn(bobs, "quiet", "bob"))

	if at := w.browser().do(http.MethodPost, w.issuer+"/logout-user?user=alice", nil); at.status != http.StatusNoContent {
		t.Fatalf("%d %s", at.status, at.body)
	}
	told := map[string]bool{}
	for range 2 {
		raw := <-w.received
		token, err := oidc.NewVerifier(w.issuer, oidc.NewRemoteKeySet(t.Context(), w.issuer+"/keys"),
			&oidc.Config{SkipClientIDCheck: true}).VerifyLogout(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		if token.Subject != "alice" || token.SessionID != "" {
			t.Errorf("notified of %+v, want alice and no session", token)
		}
		told[token.Audience[0]] = true
	}
	w.noLogoutToken()
	if !told["first"] || !told["second"] {
		t.Errorf("notified: %v, want both", told)
	}
	if w.isSignedIn(desk) || w.isSignedIn(phone) {
		t.Error("alice is still signed in")
	}
	if !w.isSignedIn(bobs) {
		t.Error("bob is signed out")
	}
}

func TestEndSessionIgnoresUnknownSessions(t *testing.T) {
	w := newWorld(t)
	if err := w.provider.EndSession(t.Context(), "made up"); err != nil {
		t.Error(err)
	}
	w.noLogoutToken()
}

func TestEndUserNamesClientsItCouldNotNotify(t *testing.T) {
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(failing.Close)
	p := oidctest.New(t, provider.Options{Issuer: issuer, Users: users(), Clients: []provider.Client{
		{ID: "failing", BackChannelLogoutURI: failing.URL},
		{ID: "moved", BackChannelLogoutURI: failing.URL + "/moved"},
		{ID: "unreachable", BackChannelLogoutURI: "http://127.0.0.1:1"},
		{ID: "malformed", BackChannelLogoutURI: ":"},
	}})
	err := p.EndUser(t.Context(), "alice")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"failing", "moved", "unreachable", "malformed", "400 Bad Request", "307 Temporary Redirect"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not contain %q", err, want)
		}
	}
}

func TestLogoutUserReportsTheOutcome(t *testing.T) {
	p, _ := unlistened(t)
	for path, want := range map[string]int{
		"/logout-user?user=alice":   http.StatusNoContent,
		"/logout-user?user=mallory": http.StatusNotFound,
	} {
		if got := post(t, p, path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	p.AddClient(provider.Client{ID: "gone", BackChannelLogoutURI: "http://127.0.0.1:1"})
	if got := post(t, p, "/logout-user?user=alice"); got != http.StatusBadGateway {
		t.Errorf("with a client that is gone: %d", got)
	}
}

// hanging never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, errors.New("no answer")
}

func TestHangingClientsDelayLogoutFiveSecondsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clients []provider.Client
		for _, id := range []string{"first", "second"} {
			clients = append(clients, provider.Client{
				ID: id, Secret: clienttoken.NewSecret(secret), RedirectURIs: []string{issuer + "/first"}, BackChannelLogoutURI: issuer + "/backchannel",
			})
		}
		p, b := unlistened(t, func(o *provider.Options) { o.Clients, o.Transport = clients, hanging{} })
		if got := redeem(t, p, b.press(b.open(authorize), "user", "alice").answer().Get("code")); got != http.StatusOK {
			t.Fatalf("redeeming: %d", got)
		}
		began := time.Now()
		b.open(issuer + "/end_session").shows(signedOut)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the browser waited for %v", took)
		}
		began = time.Now()
		if err := p.EndUser(t.Context(), "alice"); err == nil {
			t.Error("no error")
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("two clients took %v", took)
		}
	})
}

func TestLogoutTokenOmitsEmptyClaims(t *testing.T) {
	p, _ := unlistened(t)
	seen := map[any]bool{}
	for _, c := range []struct{ user, sid string }{{"alice", ""}, {"", "a session"}, {"alice", "a session"}} {
		token, err := p.LogoutToken("first", c.user, c.sid)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatal(err)
		}
		_, sub := got["sub"]
		_, sid := got["sid"]
		_, nonce := got["nonce"]
		if sub != (c.user != "") || sid != (c.sid != "") || nonce || seen[got["jti"]] {
			t.Errorf("for %+v: %s", c, payload)
		}
		seen[got["jti"]] = true
	}
}
