//go:build faults

package faults_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// refusedWrites is a Redis that answers but refuses writes.
type refusedWrites struct {
	begin, end string // commands
	reason     string // the reason in /readyz
	logout     int    // the status of a logout during the fault
}

// TestSessionsOutliveRedisRefusingWrites: users get 503. Only Redis's answers show the
// refusal; /readyz and one log line have the reason.
func TestSessionsOutliveRedisRefusingWrites(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]refusedWrites{
		"Redis becomes read-only": {"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "redis: read-only", http.StatusServiceUnavailable},
		// A logout needs no memory.
		"Redis is full": {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "redis: out of memory", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newRedis(t)
			w := newWorld(t)
			w.withRedis(t, server.address)
			s := newSite(t, w, 2, nil)
			leaver := s.caller(t, 20)
			scenario{
				fault: name, world: w, callers: s.signInAll(t, 12), during: 8 * time.Second,
				begin:   func() { server.do(t, r.begin); r.logsOut(t, s, leaver) },
				end:     func() { s.checkMissing(t, missingDependency{"session store", r.reason}); server.do(t, r.end) },
				allowed: []string{unavailable}, seen: []string{unavailable}, refused: []string{unavailable},
			}.run(t)
			s.checkLoggedOnce(t, `"missing":"session store"`)
			if p := s.logout(t, leaver); p.status != http.StatusOK {
				t.Errorf("logout after the recovery: %d", p.status)
			}
		})
	}
}

// do runs a Redis command.
func (r *testRedis) do(t *testing.T, command string) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.address})
	defer func() { _ = client.Close() }()
	var args []any
	for word := range strings.FieldsSeq(command) {
		args = append(args, word)
	}
	if err := client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

func (r refusedWrites) logsOut(t *testing.T, s *site, leaver *caller) {
	t.Helper()
	p := s.logout(t, leaver)
	if p.status != r.logout || (p.status != http.StatusOK) != (p.header.Get("Retry-After") != "") {
		t.Errorf("logout during the fault: %d, Retry-After %q, want %d", p.status, p.header.Get("Retry-After"), r.logout)
	}
}

// checkMissing fails the test unless each server is not ready and names the missing
// dependency, with the reason.
func (s *site) checkMissing(t *testing.T, what missingDependency) {
	t.Helper()
	for _, p := range s.processes {
		status, missing := p.readiness(t)
		if status != http.StatusServiceUnavailable || !slices.Contains(missing, what) {
			t.Errorf("/readyz: %d %v, want %v", status, missing, what)
		}
	}
}

// checkLoggedOnce fails the test unless each server becomes ready and its log has this
// line once.
func (s *site) checkLoggedOnce(t *testing.T, line string) {
	t.Helper()
	for _, p := range s.processes {
		waitFor(t, "readiness", 10*time.Second, func() bool { status, _ := p.readiness(t); return status == http.StatusOK })
		if n := strings.Count(p.stdout.String(), line); n != 1 {
			t.Errorf("the log has %d lines with %s, want 1", n, line)
		}
	}
}
