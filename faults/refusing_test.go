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

// TestSessionsOutliveARedisThatRefusesWrites: it answers, so only its answers say
// that it refuses. Users get 503, readiness and one line in the log have the reason.
func TestSessionsOutliveARedisThatRefusesWrites(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]struct {
		begin, end string // commands
		why        string
		logout     int // its status meanwhile
	}{
		"Redis becomes read-only": {"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "redis: read-only", http.StatusServiceUnavailable},
		// A logout needs no memory.
		"Redis is full": {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "redis: out of memory", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newRedis(t)
			client := redis.NewClient(&redis.Options{Addr: server.address})
			t.Cleanup(func() { _ = client.Close() })
			do := func(command string) {
				var args []any
				for word := range strings.FieldsSeq(command) {
					args = append(args, word)
				}
				if err := client.Do(t.Context(), args...).Err(); err != nil {
					t.Fatalf("%s: %v", command, err)
				}
			}
			w := newWorld(t)
			w.withRedis(t, server.address)
			s := newSite(t, w, 2, nil)
			leaver := s.caller(t, 20)
			scenario{
				fault: name, world: w, callers: s.signedIn(t, 12), during: 8 * time.Second,
				begin: func() {
					do(refuses.begin)
					if p := s.logout(t, leaver); p.status != refuses.logout || (p.status != http.StatusOK) != (p.header.Get("Retry-After") != "") {
						t.Errorf("a logout: %d, Retry-After %q, want %d", p.status, p.header.Get("Retry-After"), refuses.logout)
					}
				},
				end: func() {
					for _, p := range s.processes {
						p.names(t, absent{"session store", refuses.why})
					}
					do(refuses.end)
				},
				allowed: []string{unavailable}, seen: []string{unavailable}, refused: []string{unavailable},
			}.run(t)
			for _, p := range s.processes {
				until(t, "readiness", 10*time.Second, func() bool { status, _ := p.readiness(t); return status == http.StatusOK })
				if n := strings.Count(p.stdout.String(), `"missing":"session store"`); n != 1 {
					t.Errorf("the log says %d times that it is missing", n)
				}
			}
			if p := s.logout(t, leaver); p.status != http.StatusOK {
				t.Errorf("the logout afterwards: %d", p.status)
			}
		})
	}
}

// names fails the test unless readiness says no and names what is missing, and why.
func (p *process) names(t *testing.T, what absent) {
	t.Helper()
	status, missing := p.readiness(t)
	if status != http.StatusServiceUnavailable || !slices.Contains(missing, what) {
		t.Errorf("/readyz: %d %v, want %v", status, missing, what)
	}
}
