package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const webSecret = "the-very-secret-of-the-client"

// TestSignInVendAndSignOut is the whole of it, with each store.
func TestSignInVendAndSignOut(t *testing.T) {
	for store, start := range map[string]func(t *testing.T) *site{
		"memory": func(t *testing.T) *site { t.Helper(); return newSite(t, 1, nil) },
		"redis": func(t *testing.T) *site {
			t.Helper()
			return newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": redisURL(t)})
		},
	} {
		for way, logout := range logouts() {
			t.Run(store+" "+way, func(t *testing.T) {
				s := start(t)
				b := s.browser(t)
				b.vends("before the sign-in", "401 ")
				b.signIn()
				b.vends("signed in", `200 {"token":`)
				thief := s.thief(t, b)
				logout(t, s, b)
				b.vends("after the logout", "401 ")
				thief.vends("with a copy of the cookie, after the logout", "401 ")
				for _, replica := range s.replicas {
					if log := replica.logs.String(); strings.Contains(log, webSecret) || strings.Contains(log, "eyJ") {
						t.Error("a secret or a token is in the log")
					}
				}
			})
		}
	}
}

func TestSignOutEndsProviderSession(t *testing.T) {
	s := newSite(t, 1, nil)
	b := s.browser(t)
	b.signIn()
	// The site has no page at "/".
	if at, _ := b.get(b.logout()); at != s.URL+"/" {
		t.Errorf("the browser is at %s", at)
	}
	if _, page := b.get(s.URL + "/dropgate/auth/login"); !strings.Contains(page, "Sign in as alice") {
		t.Errorf("the provider does not ask who it is: %s", page)
	}
}

// TestReadinessIncludesSessionStore: without it, no signed-in user can be served.
func TestReadinessIncludesSessionStore(t *testing.T) {
	at := redisURL(t)
	for want, url := range map[int]string{http.StatusOK: at, http.StatusServiceUnavailable: "redis://127.0.0.1:1"} {
		s := newSite(t, 1, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": url})
		until(t, fmt.Sprintf("%s: readiness %d", url, want), func() bool {
			got := s.replicas[0].admin(t, "/readyz")
			return got.status == want && !strings.Contains(got.body, "identity provider keys")
		})
	}
}

func TestSessionsLiveAsLongAsConfigured(t *testing.T) {
	s := newSite(t, 1, map[string]string{"SESSION_IDLE_TIMEOUT": "20m", "SESSION_LIFETIME": "10m"})
	b := s.browser(t)
	b.signIn()
	_, answer := b.get(s.URL + "/dropgate/session")
	var session struct{ ExpiresAt time.Time }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &session); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(session.ExpiresAt); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("the session ends in %s, want 10m at most", left)
	}
}

// TestUnusedModeSettingsHaveNoEffect leaves settings of the mode bearer. They name
// another issuer, whose keys must not verify ID or logout tokens.
func TestUnusedModeSettingsHaveNoEffect(t *testing.T) {
	var asked atomic.Int32
	somebody := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(somebody.Close)
	for name, left := range map[string]map[string]string{
		"keys":            {"AUTH_BEARER_JWKS_URL": somebody.URL + "/keys"},
		"keys of no URL":  {"AUTH_BEARER_JWKS_URL": "keys.json"},
		"another issuer":  {"AUTH_BEARER_ISSUER": somebody.URL},
		"no https at all": {"AUTH_BEARER_ISSUER": "ftp://x", "AUTH_FORWARD_URL": somebody.URL, "AUTH_PROXY_SECRET": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, 1, left)
			b := s.browser(t)
			b.signIn()
			b.vends("signed in", "200 ")
			if err := s.fixture.provider.EndUser(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
			b.vends("signed out", "401 ")
			if n := asked.Load(); n != 0 {
				t.Errorf("somebody else was asked %d times", n)
			}
		})
	}
}
