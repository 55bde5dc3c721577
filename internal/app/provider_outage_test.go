package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/tcpproxy"
)

// TestServiceStartsWhileProviderIsDown: sign-ins fail and the replica is not ready,
// but other routes answer.
func TestServiceStartsWhileProviderIsDown(t *testing.T) {
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"sub":"alice","dwolla_customer":"`+alicesCustomer+`"}`)
	}))
	t.Cleanup(application.Close)
	s := newSite(t, 1, map[string]string{
		"AUTH_MODES": "oidc,forward", "AUTH_OIDC_ISSUER": "http://127.0.0.1:1", "AUTH_FORWARD_URL": application.URL,
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/dropgate/auth/login", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("sign-in: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if answer := s.replicas[0].admin(t, "/readyz"); answer.status != http.StatusServiceUnavailable || !strings.Contains(answer.body, "identity provider keys") {
		t.Errorf("readiness: %d %s", answer.status, answer.body)
	}
	_, answer := s.browser(t).do(http.MethodPost, s.URL+"/dropgate/client-tokens", `{"action":"customer.read"}`,
		http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {"app=alices"}})
	if !strings.HasPrefix(answer, "200 ") {
		t.Errorf("another mode: %s", answer)
	}
}

// TestReplicaIsReadyOnceItHasKeys: a rollout must not replace good replicas by some
// without keys.
func TestReplicaIsReadyOnceItHasKeys(t *testing.T) {
	w := newFixture(t)
	provider, issuer := lateProvider(t, w.settings["AUTH_BEARER_ISSUER"])
	for name, settings := range map[string]map[string]string{
		"bearer": {"AUTH_BEARER_JWKS_URL": issuer + "/keys"},
		"oidc":   oidc(map[string]string{"AUTH_OIDC_ISSUER": issuer, "PUBLIC_URL": "https://app.example.com"}),
	} {
		t.Run(name, func(t *testing.T) {
			provider.Stop()
			s := w.start(t, settings)
			until(t, "it is not ready", func() bool {
				status, what := s.missing(t)
				return status == http.StatusServiceUnavailable && slices.Contains(what, "identity provider keys")
			})
			provider.Start()
			until(t, "it is ready", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
			if name == "bearer" {
				answers(t, "a token", s.vend(t, "alice", readCustomer), http.StatusOK, "")
			}
			provider.Stop()
			if got := s.admin(t, "/readyz"); got.status != http.StatusOK {
				t.Errorf("readiness when the provider goes away later: %d %s", got.status, got.body)
			}
		})
	}
}

// lateProvider is an issuer behind a tcpProxy, with the keys of another one.
func lateProvider(t *testing.T, keysOf string) (g *tcpproxy.Proxy, issuer string) {
	t.Helper()
	at, err := url.Parse(keysOf)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/keys", httputil.NewSingleHostReverseProxy(at))
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{
			"issuer": issuer, "jwks_uri": issuer + "/keys", "authorization_endpoint": issuer + "/a", "token_endpoint": issuer + "/t",
		})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	g, issuer = tcpproxy.Before(t, server.URL)
	return g, issuer
}
