package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// misfitProvider is an issuer with the keys of another one and a document of its own.
func misfitProvider(t *testing.T, keysOf string, changes map[string]any) (issuer string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		document := map[string]any{
			"issuer": issuer, "jwks_uri": keysOf + "/keys", "authorization_endpoint": issuer + "/a", "token_endpoint": issuer + "/t",
		}
		maps.Copy(document, changes)
		_ = json.NewEncoder(w).Encode(document)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A replica without keys is not ready and says why. With keys it is ready, and names the
// fault all the same.
func TestReadinessNamesHopelessProvider(t *testing.T) {
	w := newFixture(t)
	for name, c := range map[string]struct {
		changes map[string]any
		status  int
		words   string
	}{
		"another issuer": {map[string]any{"issuer": "https://other.example.com"}, http.StatusServiceUnavailable, "discovery document names another issuer"},
		"plain PKCE":     {map[string]any{"code_challenge_methods_supported": []string{"plain"}}, http.StatusOK, "no PKCE with S256"},
		"no endpoints":   {map[string]any{"token_endpoint": nil}, http.StatusOK, "discovery document names no endpoints for a sign-in"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := misfitProvider(t, w.settings["AUTH_BEARER_ISSUER"], c.changes)
			s := w.start(t, oidc(map[string]string{"AUTH_OIDC_ISSUER": issuer, "PUBLIC_URL": "https://app.example.com"}))
			until(t, "readiness names the fault", func() bool {
				got := s.admin(t, "/readyz")
				return got.status == c.status && strings.Contains(got.body, `"identity provider: `+c.words+`"`)
			})
			if why := whyMissing(t, s.admin(t, "/readyz").body)["identity provider keys"]; (c.status != http.StatusOK) != (why == c.words) {
				t.Errorf("the keys are missing for %q", why)
			}
			until(t, "the log says what to change", func() bool {
				return strings.Contains(s.logs.String(), "AUTH_OIDC_ISSUER") || strings.Contains(s.logs.String(), "let it accept S256") ||
					strings.Contains(s.logs.String(), "authorization_endpoint or token_endpoint")
			})
		})
	}
}
