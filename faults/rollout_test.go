//go:build faults

package faults_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestRolloutUnderLoadFailsNoRequest replaces one replica after the other. Users with
// tokens and users with sessions in Redis send 200 requests a second, on three kinds of
// connections.
func TestRolloutUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withRedis(t, sharedRedis(t))
	const delay = time.Second
	site := newSite(t, w, 1, map[string]string{"AUTH_MODES": "bearer,oidc", "SHUTDOWN_DELAY": delay.String(), "DWOLLA_TIMEOUT": "5s"})
	credentials := site.credentials(t, 10)
	b := newBalancer(t)
	replicas := []*replica{b.add(t, site.processes[0]), b.add(t, w.start(t, site.settings))}

	l := site.startRolloutLoad(b, credentials)
	began, late := time.Now(), time.Duration(0)
	for range 10 {
		// Kubernetes starts the new replica first: maxSurge is 1.
		replicas = append(replicas, b.add(t, w.start(t, site.settings)))
		late = max(late, b.retire(t, replicas[0]))
		replicas = replicas[1:]
	}
	took := time.Since(began)
	close(l.stopped)
	l.calling.Wait()

	for _, fault := range l.faults {
		t.Error(fault)
	}
	connections := 0
	for _, c := range l.clients {
		connections += c.dialed
	}
	rate := float64(l.answered) / took.Seconds()
	t.Logf("%d requests in %.1f s, %.0f a second, on %d connections: %d failed; replicas got connections for up to %s after SIGTERM", l.answered, took.Seconds(), rate, connections, len(l.faults), late)
	if late >= delay {
		t.Errorf("inconclusive: on this slow machine the balancer still connected %s after SIGTERM, later than SHUTDOWN_DELAY %s", late, delay)
	}
	if rate < 150 {
		t.Errorf("inconclusive: the load was only %.0f requests a second, want at least 150", rate)
	}
	if vended := len(w.dwolla.ClientTokens()); vended != l.answered {
		t.Errorf("Dwolla vended %d tokens for %d answers", vended, l.answered)
	}
}

// credentials returns the header lines of n bearers and n users with sessions,
// alternating.
func (s *site) credentials(t *testing.T, n int) []string {
	t.Helper()
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i := range n {
		lines = append(lines, "Authorization: Bearer "+s.world.users[i].bearer)
		b := s.browser(t)
		if got := b.signIn(t, userName(i)); got.status != http.StatusOK {
			t.Fatalf("sign-in: %d %s", got.status, got.text)
		}
		var cookies []string
		for _, cookie := range b.Jar.Cookies(at) {
			cookies = append(cookies, cookie.Name+"="+cookie.Value)
		}
		lines = append(lines, "Sec-Fetch-Site: same-origin\r\nCookie: "+strings.Join(cookies, "; "))
	}
	return lines
}

// retire stops a replica like Kubernetes, and waits until it has ended by itself. It
// returns how long the replica still got connections. Any after SHUTDOWN_DELAY are the
// balancer's fault.
func (b *balancer) retire(t *testing.T, r *replica) time.Duration {
	t.Helper()
	b.mu.Lock()
	r.stoppedAt = time.Now()
	b.mu.Unlock()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.exited:
	case <-time.After(15 * time.Second):
		t.Fatal("the replica did not exit after SIGTERM")
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(r.stdout.String(), `"requests_cut":0`) {
		t.Errorf("the replica exited with code %d:\n%s", code, r.stderr)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return r.lastConnect
}

// rolloutLoad is clients in a loop, until they are stopped.
type rolloutLoad struct {
	clients []*rawClient
	stopped chan struct{}
	calling sync.WaitGroup

	mu       sync.Mutex
	answered int
	faults   []string
}

// startRolloutLoad starts 200 requests a second on three kinds of connections.
func (s *site) startRolloutLoad(b *balancer, credentials []string) *rolloutLoad {
	l := &rolloutLoad{stopped: make(chan struct{})}
	host := strings.TrimPrefix(s.URL, "https://")
	for i := range 58 {
		request := tokenRequest(host, credentials[i%len(credentials)])
		client, every := &rawClient{address: b.address}, 200*time.Millisecond
		switch {
		case i >= 38: // 10 a second, each idle for longer than a replica drains
			client.keepAlive, every = true, 2*time.Second
		case i >= 19: // 95 a second on busy connections
			client.keepAlive = true
		}
		l.clients = append(l.clients, client)
		l.calling.Go(func() { l.call(client, request, every, time.Duration(i)*every/58) })
	}
	return l
}

// call sends requests at a steady rate.
func (l *rolloutLoad) call(c *rawClient, request string, every, first time.Duration) {
	defer c.close()
	tick := time.NewTimer(first)
	defer tick.Stop()
	for due := time.Now().Add(first); ; {
		select {
		case <-tick.C:
		case <-l.stopped:
			return
		}
		got, err := c.do(request)
		l.count(got, err, fmt.Sprintf("kept %v, every %s", c.keepAlive, every))
		due = due.Add(every)
		tick.Reset(time.Until(due))
	}
}

func (l *rolloutLoad) count(got rawAnswer, err error, kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && got.status == http.StatusOK && got.token != "" {
		l.answered++
		return
	}
	l.faults = append(l.faults, fmt.Sprintf("%s, a client with connections %s: %d %s %v", time.Now().Format("05.000"), kind, got.status, got.text, err))
}
