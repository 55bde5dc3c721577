//go:build faults

package faults_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dropgate/internal/tcpproxy"
)

// brokenDependency is a dependency that is useless from the start.
type brokenDependency struct {
	name     string // the name in /readyz
	required bool   // the replica is not ready without it
	begin    func(t *testing.T, w *world)
	end      func(w *world)
	logLine  string // the log line about it
	reason   string // the reason in the log and /readyz; empty: any
}

func brokenDependencies() map[string]brokenDependency {
	const missing = `"missing":`
	mute := func(of func(*world) *tcpproxy.Proxy) (begin func(*testing.T, *world), end func(*world)) {
		return func(_ *testing.T, w *world) { of(w).Fail(tcpproxy.Fault{Hang: true}) },
			func(w *world) {
				of(w).Heal()
				of(w).Reset()
			}
	}
	all := map[string]brokenDependency{
		"PostgreSQL is mute":   {name: "database", required: true, logLine: missing + `"database"`},
		"Redis is mute":        {name: "session store", required: true, logLine: missing + `"session store"`},
		"the provider is mute": {name: "identity provider keys", required: true, logLine: "fetching the identity provider's keys failed"},
		"Dwolla is mute":       {name: "dwolla", logLine: "getting an access token from Dwolla failed"},
	}
	for name, of := range map[string]func(*world) *tcpproxy.Proxy{
		"PostgreSQL is mute": func(w *world) *tcpproxy.Proxy { return w.toPostgres }, "Redis is mute": func(w *world) *tcpproxy.Proxy { return w.toRedis },
		"the provider is mute": func(w *world) *tcpproxy.Proxy { return w.toProvider }, "Dwolla is mute": func(w *world) *tcpproxy.Proxy { return w.toDwolla },
	} {
		u := all[name]
		u.begin, u.end = mute(of)
		all[name] = u
	}
	all["another password of PostgreSQL"] = changedPassword("database", "postgres: authentication failed", func(w *world) *tcpproxy.Proxy { return w.toPostgres }, refusingPostgres)
	all["another password of Redis"] = changedPassword("session store", "redis: authentication failed", func(w *world) *tcpproxy.Proxy { return w.toRedis }, func(t *testing.T) string {
		t.Helper()
		return newRedis(t, "--requirepass", "another-password-than-that").address
	})
	return all
}

// changedPassword is a store whose password for the service has changed.
func changedPassword(what, why string, of func(*world) *tcpproxy.Proxy, server func(*testing.T) string) brokenDependency {
	var right string
	return brokenDependency{
		name: what, required: true, reason: why, logLine: `"missing":"` + what + `"`,
		begin: func(t *testing.T, w *world) {
			t.Helper()
			right = of(w).Server()
			of(w).Redirect(server(t))
		},
		end: func(w *world) { of(w).Redirect(right) },
	}
}

// refusingPostgres is a PostgreSQL that rejects every password. The test servers ask
// for none.
func refusingPostgres(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	message := func(kind byte, body string) string { return string([]byte{kind, 0, 0, 0, byte(4 + len(body))}) + body }
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				for _, say := range []string{
					message('R', "\x00\x00\x00\x03"), // asks for a cleartext password
					message('E', "SFATAL\x00VFATAL\x00C28P01\x00Mpassword authentication failed for user \"postgres\"\x00\x00"),
				} {
					if _, err := c.Read(make([]byte, 4096)); err != nil {
						return
					}
					_, _ = io.WriteString(c, say)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// TestUselessDependencyAtTheStartIsMissing: the process starts, names what it lacks in
// /readyz and once in the log, answers no wrong status, and recovers. A wrong password
// counts as an outage with its own reason, because the store may be late in a rotation.
func TestUselessDependencyAtTheStartIsMissing(t *testing.T) {
	t.Parallel()
	for name, u := range brokenDependencies() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withPostgres(t)
			password := w.secret("the password of REDIS_URL")
			w.withRedis(t, newRedis(t, "--requirepass", password).address)
			w.settings["REDIS_URL"] = "redis://:" + url.QueryEscape(password) + "@" + w.toRedis.Addr
			u.begin(t, w)
			s := newSite(t, w, 1, map[string]string{"AUTH_MODES": "bearer,oidc", "DWOLLA_TIMEOUT": "500ms"})
			u.checkMissing(t, s)
			u.end(w)
			p := s.processes[0]
			waitFor(t, "recovery", 45*time.Second, func() bool {
				status, missing := p.readiness(t)
				return status == http.StatusOK && len(missing) == 0 && w.bearers(p, 1)[0].call(t.Context()).summary() == token
			})
			if got := s.browser(t).signIn(t, userName(1)); got.status != http.StatusOK {
				t.Errorf("sign-in after the recovery: %d %s", got.status, got.text)
			}
			if n := strings.Count(p.stdout.String(), u.logLine); n != 1 {
				t.Errorf("the log names the missing dependency %d times, want once", n)
			}
		})
	}
}

// checkMissing checks the service without this dependency.
func (u brokenDependency) checkMissing(t *testing.T, s *site) {
	t.Helper()
	p := s.processes[0]
	waitFor(t, "the dependency's name in /readyz", 20*time.Second, func() bool {
		_, missing := p.readiness(t)
		return slices.ContainsFunc(missing, func(m missingDependency) bool { return m.What == u.name && strings.Contains(m.Reason, u.reason) })
	})
	status, missing := p.readiness(t)
	if (status == http.StatusServiceUnavailable) != u.required || len(missing) != 1 {
		t.Errorf("/readyz: %d, missing %v", status, missing)
	}
	if status, _ := p.getAdmin(t, "/livez"); status != http.StatusOK {
		t.Errorf("/livez: %d", status)
	}
	s.world.evidence.recordAdminPages(t, p)
	waitFor(t, "a line in the log", 10*time.Second, func() bool { return strings.Contains(p.stdout.String(), u.logLine) })
	for line := range strings.Lines(p.stdout.String()) {
		if strings.Contains(line, u.logLine) && !strings.Contains(line, u.reason) {
			t.Errorf("the log line lacks the reason: %s", line)
		}
	}
	got := s.world.bearers(p, 1)[0].call(t.Context())
	switch what := got.summary(); {
	case got.defect != "":
		t.Error(got.defect)
	case u.name == "session store" && what == token: // bearers need no session store
	case u.name == "dwolla" && what == "504 UpstreamTimeout":
	case what != unavailable:
		t.Errorf("a user got %s, want 503", what)
	}
	if u.name == "session store" {
		if got := s.browser(t).signIn(t, userName(2)); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("sign-in: %d %s, want 503 with Retry-After", got.status, got.text)
		}
	}
}

// missingDependency is a missing dependency in /readyz.
type missingDependency struct{ What, Reason string }

func (p *process) readiness(t *testing.T) (status int, missing []missingDependency) {
	t.Helper()
	status, text := p.getAdmin(t, "/readyz")
	var answer struct{ Missing []missingDependency }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("/readyz: %v", err)
	}
	return status, answer.Missing
}
