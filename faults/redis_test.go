//go:build faults

package faults_test

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"dropgate/internal/tcpproxy"
)

// redisAnswers is Redis's timeout of 2 s and a margin.
const redisAnswers = 5 * time.Second

func redisFaults() map[string]scenario {
	return map[string]scenario{
		"Redis stops and returns": {allowed: []string{unavailable}, seen: []string{unavailable}},
		"Redis is half-open":      {allowed: []string{unavailable}, seen: []string{unavailable}, longest: redisAnswers},
		"Redis answers late":      {allowed: []string{token}, seen: []string{token}},
		"Redis answers too late":  {allowed: []string{unavailable}, seen: []string{unavailable}, longest: redisAnswers},
		"Redis's connections are reset in the middle of an answer": {allowed: []string{unavailable}, seen: []string{unavailable}},
		"one in ten of Redis's answers is reset":                   {allowed: []string{token, unavailable}, seen: []string{token}},
		"Redis's address answers in another protocol":              {allowed: []string{unavailable}, seen: []string{unavailable}},
	}
}

// failStore begins the fault with this name in the proxy before a store.
func failStore(name string, p *tcpproxy.Proxy) {
	switch name {
	case "Redis is half-open", "PostgreSQL is half-open":
		p.Fail(tcpproxy.Fault{Hang: true})
	case "Redis answers late", "PostgreSQL answers late":
		p.Fail(tcpproxy.Fault{Delay: 150 * time.Millisecond})
	case "Redis answers too late":
		p.Fail(tcpproxy.Fault{Delay: 2500 * time.Millisecond})
	case "one in ten of Redis's answers is reset", "one in ten of PostgreSQL's answers is reset":
		p.Fail(tcpproxy.Fault{Truncate: 3, Every: 10})
	case "Redis's address answers in another protocol", "PostgreSQL's address answers in another protocol":
		p.Fail(tcpproxy.Fault{Replace: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"})
	case "Redis stops and returns", "PostgreSQL stops and returns":
		p.Stop()
	default:
		p.Fail(tcpproxy.Fault{Truncate: 3})
	}
}

// healStore ends the fault.
func healStore(p *tcpproxy.Proxy) {
	p.Heal()
	p.Start()
}

// TestSessionsOutliveEveryFaultOfRedis: no fault looks like "not signed in", users who
// signed out stay signed out, and all others continue afterwards.
func TestSessionsOutliveEveryFaultOfRedis(t *testing.T) {
	t.Parallel()
	for name, s := range redisFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withRedis(t, sharedRedis(t))
			s.fault, s.world = name, w
			s.callers = newSite(t, w, 2, nil).signInAll(t, 12)
			s.refused = []string{unavailable}
			s.begin = func() { failStore(name, w.toRedis) }
			s.end = func() { healStore(w.toRedis) }
			s.run(t)
		})
	}
}

// testRedis is a Redis for one test, which may kill it.
type testRedis struct {
	address string
	options []string
	cmd     *exec.Cmd
}

func (r *testRedis) start(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", append(r.options, "--bind", host, "--port", port)...)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (r *testRedis) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.cmd.Wait()
}

// newRedis starts a Redis on a free port. It loses no data when killed.
func newRedis(t *testing.T, options ...string) *testRedis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		skipWithout(t, "redis-server in the PATH")
	}
	r := &testRedis{address: tcpproxy.FreeAddr(t), options: append(options,
		"--dir", t.TempDir(), "--appendonly", "yes", "--appendfsync", "always", "--save", "")}
	r.start(t)
	t.Cleanup(r.kill)
	waitFor(t, "a Redis of our own", 10*time.Second, func() bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", r.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return r
}

// TestSessionsOutliveKilledRedis uses a Redis with its data on disk. A failed logout
// must not be reported as done.
func TestSessionsOutliveKilledRedis(t *testing.T) {
	t.Parallel()
	redis := newRedis(t)
	w := newWorld(t)
	w.withRedis(t, redis.address)
	s := newSite(t, w, 2, nil)
	leaver := s.caller(t, 20)
	scenario{
		fault: "Redis is killed and started again", world: w, callers: s.signInAll(t, 12),
		begin: func() {
			redis.kill()
			p := s.logout(t, leaver)
			if p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" {
				t.Errorf("logout without Redis: %d, Retry-After %q, want 503 with Retry-After", p.status, p.header.Get("Retry-After"))
			}
		},
		end:     func() { redis.start(t) },
		allowed: []string{unavailable}, seen: []string{unavailable}, refused: []string{unavailable},
	}.run(t)
	thief := s.copyCookiesOf(t, leaver)
	if got := leaver.call(t.Context()); got.summary() != token {
		t.Errorf("after a failed logout the user got %s, want a token", got.summary())
	}
	if p := s.logout(t, leaver); p.status != http.StatusOK {
		t.Errorf("logout after the recovery: %d", p.status)
	}
	for range 4 { // on both servers
		if got := thief.call(t.Context()); got.summary() != "401 Unauthenticated" {
			t.Errorf("token request after the logout: %s", got.summary())
		}
	}
}
