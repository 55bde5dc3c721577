package provider_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/auth/provider"
)

const issuer = "http://127.0.0.1:17189"

// direct asks a handler without a socket.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// get asks p for a path and returns the status and the body.
func get(t *testing.T, p *provider.Provider, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, issuer+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := direct{p}.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// signIn shows a token to mode and returns who is signed in.
func signIn(t *testing.T, mode auth.Mode, token string) (auth.Session, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/session", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return mode.Authenticate(r, nil)
}

func TestATokenForAUserSignsThatUserInUntilTheKeyRotates(t *testing.T) {
	p, err := provider.New(provider.Options{
		Issuer: issuer, Audience: "dropgate",
		Users: map[string]map[string]any{"alice": {"name": "Alice"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		keys := auth.NewKeySet(auth.KeySetConfig{
			Issuer: issuer, Transport: direct{p}, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		})
		mode := auth.NewBearer(auth.BearerConfig{
			Issuer: issuer, Audience: "dropgate", UserClaim: "sub", Claims: []string{"name"}, TokenType: "at+jwt", Keys: keys,
		})
		_, old := get(t, p, "/token?user=alice")
		session, err := signIn(t, mode, old)
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
		if _, err := signIn(t, mode, fresh); err != nil {
			t.Errorf("after the rotation: %v", err)
		}
		_, err = signIn(t, mode, old)
		if _, ok := errors.AsType[*auth.Rejection](err); !ok {
			t.Errorf("the old key's token after the rotation: %v", err)
		}
		if n := p.Fetches(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestThereIsNoTokenForAStranger(t *testing.T) {
	p, err := provider.New(provider.Options{Issuer: issuer, Users: map[string]map[string]any{"alice": nil}})
	if err != nil {
		t.Fatal(err)
	}
	if code, body := get(t, p, "/token?user=mallory"); code != http.StatusNotFound || strings.Contains(body, ".") {
		t.Errorf("%d %s, want 404", code, body)
	}
}
