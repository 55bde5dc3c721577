package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/tcpproxy"
)

// missing returns the unavailable dependencies that /readyz lists.
func (s *service) missing(t *testing.T) (status int, what []string) {
	t.Helper()
	got := s.admin(t, "/readyz")
	var said struct {
		Missing []struct{ What, Reason string }
	}
	if err := json.Unmarshal([]byte(got.body), &said); err != nil {
		t.Fatalf("/readyz: %v: %s", err, got.body)
	}
	for _, m := range said.Missing {
		if what = append(what, m.What); m.Reason == "" {
			t.Errorf("/readyz does not say why %s is missing", m.What)
		}
	}
	slices.Sort(what)
	return got.status, what
}

// TestServiceNamesAndAwaitsMissingDependencies starts without some dependencies.
// The process lives, names them in readiness and once in the log, gives no wrong
// answer, and recovers.
func TestServiceNamesAndAwaitsMissingDependencies(t *testing.T) {
	everything := []string{"database", "dwolla", "identity provider keys", "session store"}
	for name, away := range map[string][]string{
		"Dwolla": {"dwolla"}, "the provider": {"identity provider keys"}, "PostgreSQL": {"database"}, "Redis": {"session store"}, "everything": everything,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxies := map[string]*tcpproxy.Proxy{}
			s := startWithout(t, away, proxies)
			until(t, "readiness names it", func() bool { _, what := s.missing(t); return slices.Equal(what, away) })
			// A shared dependency takes no replica out of service, but a replica that
			// has never had keys does not enter it.
			own := !slices.Equal(away, []string{"dwolla"})
			if status, _ := s.missing(t); (status == http.StatusServiceUnavailable) != own {
				t.Errorf("readyz: %d", status)
			}
			if !slices.Equal(away, []string{"session store"}) { // which a bearer token does not need
				answers(t, "meanwhile", s.vend(t, "carol", readCustomer), http.StatusServiceUnavailable, "Unavailable")
			}
			shows(t, s, databasePassword, "postgres://", "redis://", "the-very-secret")

			for _, what := range away {
				proxies[what].Start()
			}
			until(t, "healing", func() bool { status, what := s.missing(t); return status == http.StatusOK && len(what) == 0 })
			answers(t, "afterwards", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			s.tellsOnce(t, away)
		})
	}
}

// startWithout starts a service while some things are away.
func startWithout(t *testing.T, away []string, proxies map[string]*tcpproxy.Proxy) *service {
	t.Helper()
	w := newFixture(t)
	settings := w.behindProxies(t, proxies)
	for _, what := range away {
		proxies[what].Stop()
	}
	s := w.start(t, settings)
	if got := s.admin(t, "/livez"); got.status != http.StatusOK {
		t.Errorf("livez: %d", got.status)
	}
	return s
}

// behindProxies puts a gate before each thing that the service stands on.
func (w *fixture) behindProxies(t *testing.T, proxies map[string]*tcpproxy.Proxy) map[string]string {
	t.Helper()
	put := func(what, at string) string {
		g, through := tcpproxy.Before(t, at)
		proxies[what] = g
		return through
	}
	redisURL := os.Getenv("TEST_REDIS_URL")
	if redisURL == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	database := postgresURL(t)
	newTools(t, database).good("link", "carol", alicesCustomer)
	settings := maps.Clone(w.settings)
	maps.Copy(settings, map[string]string{
		"DWOLLA_BASE_URL": put("dwolla", w.settings["DWOLLA_BASE_URL"]),
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": put("database", withPassword(t, database)), "CUSTOMER_CACHE": "0s",
		"SESSION_STORE": "redis", "REDIS_URL": put("session store", redisURL),
		"AUTH_MODES": "bearer,oidc", "AUTH_OIDC_ISSUER": w.settings["AUTH_BEARER_ISSUER"], "AUTH_OIDC_CLIENT_ID": "web",
		"AUTH_OIDC_CLIENT_SECRET": "the-very-secret-of-the-client", "PUBLIC_URL": "https://app.example.com",
	})
	keys, err := url.JoinPath(w.settings["AUTH_BEARER_ISSUER"], "keys")
	if err != nil {
		t.Fatal(err)
	}
	settings["AUTH_BEARER_JWKS_URL"] = put("identity provider keys", keys)
	return settings
}

// tellsOnce fails the test unless the log has one line when each was missed, and
// one when it was there again.
func (s *service) tellsOnce(t *testing.T, away []string) {
	t.Helper()
	lines := map[string][2]string{
		"dwolla":                 {"getting an access token from Dwolla failed", "Dwolla issues access tokens again"},
		"identity provider keys": {"fetching the identity provider's keys failed", "the identity provider answers again"},
		"database":               {`"missing":"database"`, `"found":"database"`},
		"session store":          {`"missing":"session store"`, `"found":"session store"`},
	}
	for _, what := range away {
		until(t, "the log says that it is there again", func() bool { return strings.Contains(s.logs.String(), lines[what][1]) })
		for _, line := range lines[what] {
			if n := strings.Count(s.logs.String(), line); n != 1 {
				t.Errorf("%s: the log says %d times %q:\n%s", what, n, line, s.logs)
			}
		}
	}
}
