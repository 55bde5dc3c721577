package handler_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
)

// framed returns the answer to a callback in a frame, from the provider's page.
func framed(t *testing.T, edit func(*handler.Config)) *http.Response {
	t.Helper()
	c := handler.Config{
		Now: time.Now, AllowedOrigins: []string{app}, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(), Vendor: &clienttoken.Vendor{},
		OIDC: auth.NewOIDC(auth.OIDCConfig{
			Issuer: "https://id.example.com", ClientID: "c", ClientSecret: clienttoken.NewSecret(oidcSecret), UserClaim: "sub",
			Origin: "https://dropgate.example.com", AllowedOrigins: []string{app}, SameSite: http.SameSiteNoneMode, Partitioned: true,
			Registerer: prometheus.NewRegistry(),
			Keys:       auth.NewKeySet(auth.KeySetConfig{Issuer: "https://id.example.com", Registerer: prometheus.NewRegistry()}),
		}),
	}
	edit(&c)
	h, err := handler.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/auth/callback?state=x", http.NoBody)
	r.Header = http.Header{"Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestOnlyAllowedOriginsFrameOurPages(t *testing.T) {
	a := framed(t, func(c *handler.Config) { c.Embedded = true })
	_ = a.Body.Close()
	policy := a.Header.Get("Content-Security-Policy")
	if a.StatusCode != http.StatusBadRequest || !strings.HasSuffix(policy, "; frame-ancestors 'self' "+app) {
		t.Errorf("answer %d with %q", a.StatusCode, policy)
	}
	a = framed(t, func(*handler.Config) {})
	_ = a.Body.Close()
	policy = a.Header.Get("Content-Security-Policy")
	if a.StatusCode != http.StatusForbidden || !strings.HasSuffix(policy, "; frame-ancestors 'none'") {
		t.Errorf("without Embedded: answer %d with %q", a.StatusCode, policy)
	}
}
