package provider_test

import (
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dropgate/internal/auth/provider"
)

// TestDiscoverySendsBrowsersElsewhere: servers stay at the issuer, which browsers may not
// reach.
func TestDiscoverySendsBrowsersElsewhere(t *testing.T) {
	p := hidden(t, nil)
	var found map[string]any
	if err := json.Unmarshal(visit(t, p, http.MethodGet, "/.well-known/openid-configuration").Body.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	for member, root := range map[string]string{
		"issuer": "http://provider:17189", "token_endpoint": "http://provider:17189/", "jwks_uri": "http://provider:17189/", "userinfo_endpoint": "http://provider:17189/",
		"authorization_endpoint": "http://127.0.0.1:21004/", "end_session_endpoint": "http://127.0.0.1:21004/",
	} {
		if got, _ := found[member].(string); !strings.HasPrefix(got, root) {
			t.Errorf("%s is %q, want it at %s", member, got, root)
		}
	}
}

// TestSignInKeepsBrowsersAtTheirAddress, from the request to the answer with its iss.
func TestSignInKeepsBrowsersAtTheirAddress(t *testing.T) {
	p := hidden(t, nil)
	const ask = "/authorize?client_id=app&response_type=code&scope=openid&state=s&redirect_uri=http%3A%2F%2Fapp.example%2Fcallback"
	login := visit(t, p, http.MethodGet, ask).Header().Get("Location")
	if !strings.HasPrefix(login, "http://127.0.0.1:21004/login?id=") {
		t.Fatalf("the login page is at %q", login)
	}
	_, id, _ := strings.Cut(login, "id=")
	callback := visit(t, p, http.MethodPost, "/login?user=alice&id="+id).Header().Get("Location")
	path, found := strings.CutPrefix(callback, "http://127.0.0.1:21004")
	if !found {
		t.Fatalf("the answer is at %q", callback)
	}
	answer := visit(t, p, http.MethodGet, path).Header().Get("Location")
	if !strings.HasPrefix(answer, "http://app.example/callback?code=") || !strings.Contains(answer, "iss=http%3A%2F%2Fprovider%3A17189") {
		t.Errorf("the answer is %q", answer)
	}
}

func TestRotateKeepsTheNewKey(t *testing.T) {
	var kept *rsa.PrivateKey
	p := hidden(t, func(key *rsa.PrivateKey) error { kept = key; return nil })
	if got := visit(t, p, http.MethodPost, "/rotate"); got.Code != http.StatusNoContent || kept == nil {
		t.Fatalf("/rotate: %d, kept %v", got.Code, kept != nil)
	}
	again, err := provider.New(provider.Options{Issuer: issuer, Key: kept, Keep: func(*rsa.PrivateKey) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	before, after := visit(t, p, http.MethodGet, "/keys").Body.String(), visit(t, again, http.MethodGet, "/keys").Body.String()
	if before != after {
		t.Errorf("after a restart with the kept key, the key set is %s, before it was %s", after, before)
	}
}

// hidden is a provider with an issuer that browsers do not reach.
func hidden(t *testing.T, keep func(*rsa.PrivateKey) error) *provider.Provider {
	t.Helper()
	p, err := provider.New(provider.Options{
		Issuer: "http://provider:17189", BrowserURL: "http://127.0.0.1:21004", Users: users(), Keep: keep,
		Clients: []provider.Client{{ID: "app", RedirectURIs: []string{"http://app.example/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// visit sends a request. The query of a POST becomes its form.
func visit(t *testing.T, p *provider.Provider, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	path, form := target, ""
	if method == http.MethodPost {
		path, form, _ = strings.Cut(target, "?")
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}
