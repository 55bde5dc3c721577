package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// changeOfClientKeys records the assertion that signs in at a provider which accepts no
// code.
func changeOfClientKeys(t *testing.T) change {
	t.Helper()
	last := &recorded{}
	idp := providerOfAssertions(t, last)
	w := newFixture(t)
	return change{
		before: newClientKey(t), after: newClientKey(t),
		start: w.with(oidc(map[string]string{
			"AUTH_OIDC_ISSUER": idp, "AUTH_OIDC_CLIENT_SECRET": "", "SESSION_KEYS": sessionKey("a"), "PUBLIC_URL": "http://127.0.0.1:1",
		})),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			last.keep("")
			s.signsInWithACode(t)
			token, err := jwt.ParseSigned(*last.Load(), []jose.SignatureAlgorithm{jose.ES256})
			block, _ := pem.Decode([]byte(value))
			key, malformed := x509.ParsePKCS8PrivateKey(block.Bytes)
			private, ok := key.(*ecdsa.PrivateKey)
			return err == nil && malformed == nil && ok && token.Claims(private.Public(), &jwt.Claims{}) == nil
		},
	}
}

func newClientKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// providerOfAssertions starts a provider, and returns its issuer.
func providerOfAssertions(t *testing.T, last *recorded) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	serve := func(path string, status int, document any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if assertion := r.PostFormValue("client_assertion"); assertion != "" {
				last.keep(assertion)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(document)
		})
	}
	serve("/.well-known/openid-configuration", http.StatusOK, map[string]any{
		"issuer": server.URL, "jwks_uri": server.URL + "/keys", "authorization_endpoint": server.URL + "/authorize", "token_endpoint": server.URL + "/token",
	})
	serve("/keys", http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "a"}}})
	serve("/token", http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
	return server.URL
}

// signsInWithACode begins a sign-in, and returns with a code.
func (s *service) signsInWithACode(t *testing.T) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(path string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.Header.Get("Location")
	}
	to, err := url.Parse(get("/auth/login"))
	if err != nil || to.Query().Get("state") == "" {
		return // the provider is not known yet
	}
	back := "/auth/callback?" + url.Values{"state": {to.Query().Get("state")}, "code": {"c"}}.Encode()
	get(back)
	get(back) // loaded again
}
