package auth_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"dropgate/internal/auth"
)

func (w *oidcHarness) misfits() string {
	var all []string
	for _, m := range w.oidc.Misfits() {
		all = append(all, m.Words)
	}
	return strings.Join(all, ", ")
}

func TestHopelessDiscoveryDocumentIsNamed(t *testing.T) {
	asIs := func(*auth.OIDCConfig) {}
	pushOff := func(c *auth.OIDCConfig) { c.NoPush = true }
	for name, c := range map[string]struct {
		edits       object
		config      func(*auth.OIDCConfig)
		words, says string
	}{
		"good": {object{
			"code_challenge_methods_supported": []string{"plain", "S256"}, "response_types_supported": []string{"code"},
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		}, asIs, "", ""},
		"silent":                  {nil, asIs, "", ""},
		"another issuer":          {object{"issuer": issuer + "/"}, asIs, "discovery document names another issuer", "AUTH_OIDC_ISSUER"},
		"no endpoints":            {object{"token_endpoint": absent{}}, asIs, "discovery document names no endpoints for a sign-in", "token_endpoint"},
		"a plain endpoint":        {object{"token_endpoint": "http://id.example.com/t"}, asIs, "discovery document names an unusable endpoint", "token_endpoint that is not https"},
		"keys only":               {object{"token_endpoint_auth_methods_supported": []string{"private_key_jwt"}}, asIs, "no common client authentication method", "AUTH_OIDC_CLIENT_AUTH"},
		"another way":             {object{"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}}, func(c *auth.OIDCConfig) { c.ClientAuth = auth.SecretPost }, "no common client authentication method", `"client_secret_basic"`},
		"pushes required and off": {object{"require_pushed_authorization_requests": true, "pushed_authorization_request_endpoint": issuer + pushAt}, pushOff, "pushed authorization requests are required", "AUTH_OIDC_PAR=auto"},
		"pushes required":         {object{"require_pushed_authorization_requests": true, "pushed_authorization_request_endpoint": issuer + pushAt}, asIs, "", ""},
		"shared secrets":          {object{"id_token_signing_alg_values_supported": []string{"HS256", "none"}}, asIs, "no common ID token algorithm", `"HS256", "none"`},
		"plain PKCE":              {object{"code_challenge_methods_supported": []string{"plain"}}, asIs, "no PKCE with S256", "S256"},
		"implicit flow":           {object{"response_types_supported": []string{"id_token"}}, asIs, "no authorization code flow", "accept code"},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.serveMetadata(c.edits)
				w.namesOnce(t, c.words, c.says, c.config)
			})
		})
	}
}

// namesOnce fails t unless sign-ins bring out these misfits, and at most one log line.
func (w *oidcHarness) namesOnce(t *testing.T, words, says string, edit func(*auth.OIDCConfig)) {
	t.Helper()
	var log bytes.Buffer
	w.keys = auth.NewKeySet(auth.KeySetConfig{Issuer: issuer, Transport: w.idp, Logger: zerolog.New(&log), Registerer: newRegistry()})
	w.oidc = w.replica(newRegistry(), edit)
	if got := w.misfits(); got != "" {
		t.Errorf("before the first document: %s", got)
	}
	for range 3 {
		_ = w.tryBegin(w.browser(t)) // it may fail
		advance(2 * refreshEvery)
	}
	if got := w.misfits(); got != words {
		t.Errorf("%q, want %q", got, words)
	}
	for _, m := range w.oidc.Misfits() {
		if !strings.Contains(m.Details, says) {
			t.Errorf("%s, want %s", m.Details, says)
		}
	}
	if n := strings.Count(log.String(), "sign-ins cannot succeed"); n > 1 {
		t.Errorf("%d lines: %s", n, &log)
	}
}

// A first outage must not hide that the document is hopeless.
func TestHopelessDocumentIsLoggedOnce(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		var log bytes.Buffer
		w.idp.serve(discovery, status(http.StatusBadGateway))
		w.keys = auth.NewKeySet(auth.KeySetConfig{Issuer: issuer, Transport: w.idp, Logger: zerolog.New(&log), Registerer: newRegistry()})
		w.oidc = w.replica(newRegistry())
		go w.keys.Run(t.Context())
		advance(2 * refreshEvery)
		w.serveMetadata(object{"issuer": "https://other.example.com"})
		advance(2 * refreshEvery)
		if got := w.misfits(); got != "discovery document names another issuer" || w.keys.Missing() == nil {
			t.Errorf("%q, %v", got, w.keys.Missing())
		}
		w.serveMetadata(object{"code_challenge_methods_supported": []string{"plain"}})
		advance(4 * refreshEvery)
		if got := w.misfits(); got != "no PKCE with S256" || w.keys.Missing() != nil {
			t.Errorf("%q, %v", got, w.keys.Missing())
		}
		for _, line := range []string{"https://other.example.com", "let it accept S256"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("%d lines with %s:\n%s", n, line, &log)
			}
		}
	})
}
