package provider_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
)

// authenticate sends a bearer token to mode.
func authenticate(t *testing.T, mode auth.Mode, token string) (auth.Session, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/session", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return mode.Authenticate(r, nil)
}

func TestBearerTokenWorksUntilRotation(t *testing.T) {
	p := oidctest.New(t, provider.Options{Issuer: issuer, Users: map[string]map[string]any{"alice": {"name": "Alice"}}})
	synctest.Test(t, func(t *testing.T) {
		keys := auth.NewKeySet(auth.KeySetConfig{
			Issuer: issuer, Transport: p.Transport(), Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		})
		mode := auth.NewBearer(auth.BearerConfig{
			Issuer: issuer, Audience: oidctest.Audience, UserClaim: "sub", Claims: []string{"name"}, TokenType: "at+jwt", Keys: keys,
		})
		_, old := get(t, p, "/token?user=alice")
		session, err := authenticate(t, mode, old)
		if err != nil || session.User.ID != "alice" || session.User.Claims["name"] != "Alice" {
			t.Fatalf("session of %q with %v: %v", session.User.ID, session.User.Claims, err)
		}
		if life := time.Until(session.Expires); life != time.Hour {
			t.Errorf("a life of %v, want one hour", life)
		}
		<-time.After(time.Minute)
		if err := p.Rotate(); err != nil {
			t.Fatal(err)
		}
		_, fresh := get(t, p, "/token?user=alice")
		if _, err := authenticate(t, mode, fresh); err != nil {
			t.Errorf("after the rotation: %v", err)
		}
		_, err = authenticate(t, mode, old)
		if _, ok := errors.AsType[*auth.Rejection](err); !ok {
			t.Errorf("the old key's token after the rotation: %v", err)
		}
		if n := p.Fetches(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestUnknownUserGetsNoToken(t *testing.T) {
	p := oidctest.New(t, provider.Options{Issuer: issuer, Users: users()})
	if code, body := get(t, p, "/token?user=mallory"); code != http.StatusNotFound || strings.Contains(body, ".") {
		t.Errorf("%d %s, want 404", code, body)
	}
}
