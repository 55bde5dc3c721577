package app_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"dropgate/internal/auth/oidctest"
)

// shared returns the settings of replicas with sessions in Redis.
func shared(at string, changes map[string]string) map[string]string {
	settings := map[string]string{"SESSION_STORE": "redis", "REDIS_URL": at}
	maps.Copy(settings, changes)
	return settings
}

// asks sends the browser's session cookie to a service, and returns the status.
func (b browser) asks(s *service) int {
	b.t.Helper()
	own, err := url.Parse(b.site.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/dropgate/session", http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cookie := range b.Jar.Cookies(own) {
		r.AddCookie(cookie)
	}
	return do(b.t, r).status
}

func TestSessionBelongsToOneDeployment(t *testing.T) {
	at := redisURL(t)
	s := newSite(t, 1, shared(at, nil))
	b := s.browser(t)
	b.signIn()
	issuer := s.fixture.settings["AUTH_BEARER_ISSUER"]
	for name, test := range map[string]struct {
		changes map[string]string
		want    int
	}{
		"the same":          {nil, http.StatusOK},
		"another origin":    {map[string]string{"PUBLIC_URL": "https://staging.example.com"}, http.StatusUnauthorized},
		"another client":    {map[string]string{"AUTH_OIDC_CLIENT_ID": "dropgate-staging"}, http.StatusUnauthorized},
		"another claim":     {map[string]string{"AUTH_USER_CLAIM": "name"}, http.StatusUnauthorized},
		"another issuer":    {map[string]string{"AUTH_OIDC_ISSUER": newFixture(t).settings["AUTH_BEARER_ISSUER"]}, http.StatusUnauthorized},
		"another secret":    {map[string]string{"AUTH_OIDC_CLIENT_SECRET": "the-secret-of-another-client"}, http.StatusUnauthorized},
		"keys of their own": {map[string]string{"SESSION_KEYS": sessionKey("other")}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			settings := oidc(map[string]string{"AUTH_OIDC_ISSUER": issuer, "PUBLIC_URL": s.URL, "BASE_PATH": "/dropgate"})
			maps.Copy(settings, shared(at, test.changes))
			if got := b.asks(s.fixture.start(t, settings)); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
	b.vends("in its own deployment, afterwards", "200 ")
}

// sessionKey is a key for SESSION_KEYS.
func sessionKey(name string) string {
	return base64.StdEncoding.EncodeToString([]byte("a session key of 32 bytes, " + name + strings.Repeat(".", 8)))
}

// All replicas get a new list of keys, one after the other, while users work.
func TestSessionKeysRotateWithoutEndingASession(t *testing.T) {
	at := redisURL(t)
	before, next := sessionKey("old"), sessionKey("new")
	s := newSite(t, 2, shared(at, map[string]string{"SESSION_KEYS": before}))
	first, second, third := s.browser(t), s.browser(t), s.browser(t)
	first.signIn()
	settings := oidc(map[string]string{
		"AUTH_OIDC_ISSUER": s.fixture.settings["AUTH_BEARER_ISSUER"], "PUBLIC_URL": s.URL, "BASE_PATH": "/dropgate",
	})
	for step, list := range []string{before + "," + next, next + "," + before} {
		for i := range s.replicas {
			settings["SESSION_KEYS"] = list
			s.replicas[i] = s.fixture.start(t, shared(at, settings))
			first.vends("a session of before", "200 ")
			if b := []browser{second, third}[step]; i == 0 { // while the replicas differ
				b.signIn()
				b.vends("a session of now", "200 ")
			}
		}
	}
	second.vends("a session of the first step", "200 ")
	second.logout()
	second.vends("after the logout", "401 ")
	client := oidctest.Client(s.URL + "/dropgate")
	client.BackChannelLogoutURI = "http://" + s.replicas[0].PublicAddr() + "/dropgate/auth/backchannel-logout"
	s.fixture.provider.AddClient(client)
	s.fixture.provider.SignOut("alice")
	first.vends("after the logout of the user", "401 ")
	third.vends("after the logout of the user, with the new key", "401 ")
}

func TestStartWarnsOfSettingsThatRestoreSessions(t *testing.T) {
	mini := miniredis.RunT(t) // has no CONFIG
	for name, test := range map[string]struct{ redis, want string }{
		"a server that hides them":      {"redis://" + mini.Addr(), "Redis does not show its settings"},
		"a server that makes snapshots": {newOwnRedis(t).url, "save is on and appendonly is off"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			s := w.start(t, oidc(shared(test.redis, map[string]string{"AUTH_OIDC_ISSUER": w.settings["AUTH_BEARER_ISSUER"]})))
			until(t, "it has warned", func() bool { return strings.Contains(s.logs.String(), test.want) })
		})
	}
}
