package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// asking vends with the cookies of a browser, on several connections, until it ends.
type asking struct {
	end     context.CancelFunc
	clients sync.WaitGroup

	mu       sync.Mutex
	answered int
	failed   []string
}

func (b browser) keepsAsking(clients int) *asking {
	ctx, end := context.WithCancel(context.WithoutCancel(b.t.Context()))
	a := &asking{end: end}
	for range clients {
		a.clients.Go(func() {
			for ctx.Err() == nil {
				a.note(b.ask())
			}
		})
	}
	return a
}

func (a *asking) note(status int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered++
	if err != nil || status != http.StatusOK {
		a.failed = append(a.failed, fmt.Sprint(status, err))
	}
}

// ask vends once.
func (b browser) ask() (int, error) {
	r, err := http.NewRequestWithContext(context.WithoutCancel(b.t.Context()), http.MethodPost, b.site.URL+"/dropgate/client-tokens", strings.NewReader(readCustomer))
	if err != nil {
		return 0, err
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}}
	resp, err := b.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// atLeast waits for so many answers.
func (a *asking) atLeast(t *testing.T, n int) {
	t.Helper()
	until(t, fmt.Sprint(n, " answers"), func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.answered >= n })
}

// finish ends the load and checks it.
func (a *asking) finish(t *testing.T) {
	t.Helper()
	a.end()
	a.clients.Wait()
	t.Logf("%d requests, %d failed", a.answered, len(a.failed))
	if len(a.failed) > 0 {
		t.Errorf("%d of %d requests failed: %q", len(a.failed), a.answered, a.failed[:min(5, len(a.failed))])
	}
}

const firstRedisPassword, secondRedisPassword = "the-very-secret-of-redis-1", "the-very-secret-of-redis-2"

// useNewPassword lets all replicas read the changed file.
func (s *site) useNewPassword(t *testing.T) {
	t.Helper()
	for _, replica := range s.replicas {
		replica.Reload()
		until(t, "the new password", func() bool { return strings.Contains(replica.logs.String(), "is in force") })
	}
}

// rotatesRedis changes the password of a user at these nodes, under load. It returns a
// browser with a session.
func rotatesRedis(t *testing.T, mode, at string, nodes ...*node) browser {
	t.Helper()
	everywhere := func(command string) {
		for _, n := range nodes {
			n.do(command)(t)
		}
	}
	everywhere("ACL SETUSER dropgate on ~* &* +@all >" + firstRedisPassword)
	urlWith := func(password string) string {
		if mode == "sentinel" {
			return at + "&username=dropgate&password=" + password
		}
		return strings.Replace(at, "redis://", "redis://dropgate:"+password+"@", 1)
	}
	file := newSecretFile(t, urlWith(firstRedisPassword))
	s := newSite(t, 2, map[string]string{
		"SESSION_STORE": "redis", "REDIS_MODE": mode, "REDIS_URL_FILE": string(file), "RATE_LIMIT_IP": "1000000/1m", "RATE_LIMIT_USER": "1000000/1m",
	})
	b := s.browser(t)
	b.signIn()
	load := b.keepsAsking(4)
	load.atLeast(t, 100)
	everywhere("ACL SETUSER dropgate >" + secondRedisPassword)
	file.put(t, urlWith(secondRedisPassword))
	s.useNewPassword(t)
	load.atLeast(t, 200)
	everywhere("ACL SETUSER dropgate <" + firstRedisPassword)
	load.atLeast(t, 400)
	load.finish(t)
	everywhere("CLIENT KILL USER dropgate")
	until(t, "readiness and shared limits with new connections", func() bool {
		return b.everywhere("200 ") && !slices.ContainsFunc(s.replicas, func(r *service) bool {
			return r.admin(t, "/readyz").status != http.StatusOK || r.metric(t, "dropgate_rate_limits_shared") != 1
		})
	})
	for _, replica := range s.replicas {
		shows(t, replica, firstRedisPassword, secondRedisPassword)
	}
	return b
}

func TestRedisClusterPasswordRotatesWithoutAFailure(t *testing.T) {
	t.Parallel()
	masters, at := cluster(t)
	rotatesRedis(t, "cluster", at, masters...)
}

// TestSentinelPasswordRotatesWithoutAFailure also fails over afterwards: the new master has
// the new password alone.
func TestSentinelPasswordRotatesWithoutAFailure(t *testing.T) {
	t.Parallel()
	r := sentinels(t)
	b := rotatesRedis(t, "sentinel", r.url, r.master, r.replica)
	r.replica.catchesUp(t, r.master)
	r.master.kill()
	until(t, "tokens from both replicas after the fail-over", func() bool { return b.everywhere("200 ") })
	r.replica.says(t, "replication", "role:master")
}

// TestSentinelsOwnPasswordRotatesWithoutAFailure fails over afterwards: only Sentinels
// know the new master, and they accept the new password alone.
func TestSentinelsOwnPasswordRotatesWithoutAFailure(t *testing.T) {
	t.Parallel()
	r := sentinels(t)
	everywhere := func(commands ...string) {
		for _, watcher := range r.watchers {
			for _, command := range commands {
				watcher.do(command)(t)
			}
		}
	}
	everywhere("ACL SETUSER peers on ~* &* +@all >the-password-of-peers", "SENTINEL CONFIG SET sentinel-user peers", "SENTINEL CONFIG SET sentinel-pass the-password-of-peers",
		"ACL SETUSER dropgate on ~* &* +@all >"+firstRedisPassword, "ACL SETUSER default off")
	urlWith := func(password string) string {
		return strings.Replace(r.url, "redis://", "redis://dropgate:"+password+"@", 1)
	}
	file := newSecretFile(t, urlWith(firstRedisPassword))
	s := newSite(t, 2, map[string]string{
		"SESSION_STORE": "redis", "REDIS_MODE": "sentinel", "REDIS_URL_FILE": string(file), "RATE_LIMIT_IP": "1000000/1m", "RATE_LIMIT_USER": "1000000/1m",
	})
	b := s.browser(t)
	b.signIn()
	load := b.keepsAsking(4)
	load.atLeast(t, 100)
	everywhere("ACL SETUSER dropgate >" + secondRedisPassword)
	file.put(t, urlWith(secondRedisPassword))
	s.useNewPassword(t)
	everywhere("ACL SETUSER dropgate <"+firstRedisPassword, "CLIENT KILL USER dropgate")
	load.atLeast(t, 300)
	load.finish(t)
	r.replica.catchesUp(t, r.master)
	r.master.kill()
	until(t, "tokens from both replicas after the fail-over", func() bool { return b.everywhere("200 ") })
	for _, replica := range s.replicas {
		shows(t, replica, firstRedisPassword, secondRedisPassword)
	}
}
