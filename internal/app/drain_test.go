package app_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dropgate/internal/app"
)

func TestDrainFinishesRequestsAndIsNotReady(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, map[string]string{"SHUTDOWN_DELAY": "1s"})
	s.vend(t, "alice", `{"action":"customer.read"}`) // gets the access token
	kept := &http.Client{Transport: &http.Transport{}}
	defer kept.CloseIdleConnections()
	if s.hangsUp(t, kept) {
		t.Error("a connection is not kept")
	}
	arrived, release := w.dwolla.Hold("/client-tokens", 1)

	finished := make(chan answer, 1)
	go func() { finished <- s.vend(t, "alice", `{"action":"customer.read"}`) }()
	<-arrived
	s.stop()
	until(t, "that it is not ready", func() bool { return s.admin(t, "/readyz").status == http.StatusServiceUnavailable })
	if got := s.admin(t, "/readyz"); !strings.Contains(got.body, `"reason":"draining"`) {
		t.Errorf("readyz while draining: %s", got.body)
	}
	if got := s.admin(t, "/livez"); got.status != http.StatusOK {
		t.Errorf("livez while draining: %d", got.status)
	}
	if !s.hangsUp(t, kept) {
		t.Error("a kept connection is not asked to go elsewhere")
	}
	release()
	if got := <-finished; got.status != http.StatusOK {
		t.Errorf("the request under way: %d %s", got.status, got.body)
	}
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.PublicAddr()); err == nil {
		t.Error("the public listener is still open")
	}
}

// hangsUp makes a request and reports whether the answer ends the connection.
func (s *service) hangsUp(t *testing.T, client *http.Client) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/openapi.yaml", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.Close
}

// begin makes n requests for tokens, and returns when all of them hang at Dwolla.
// The channel gets the result of each.
func (s *service) begin(t *testing.T, n int) <-chan error {
	t.Helper()
	s.vend(t, "alice", readCustomer) // gets the access token
	arrived, _ := s.fixture.dwolla.Hold("/client-tokens", n)
	token, err := s.fixture.provider.TokenFor("alice")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, n)
	for range n {
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(readCustomer))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		go func() {
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
			if err == nil {
				_ = resp.Body.Close()
			}
			ended <- err
		}()
		<-arrived
	}
	return ended
}

// cutting checks that the service ends within a few seconds and logs n cut
// requests, each with its own lines.
func (s *service) cutting(t *testing.T, n int, reason string) {
	t.Helper()
	select {
	case err := <-s.done:
		if !errors.Is(err, app.ErrCut) {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the service does not end")
	}
	var told []map[string]any
	for _, line := range s.logs.lines(t, "") {
		if _, counts := line["requests_cut"]; counts {
			told = append(told, line)
		}
	}
	if len(told) != 1 || told[0]["requests_cut"] != float64(n) || told[0]["reason"] != reason || told[0]["level"] != "error" {
		t.Errorf("the log counts %v, want one line of %d requests and %q", told, n, reason)
	}
	cut := 0
	for _, line := range s.logs.lines(t, "audit") {
		if line["outcome"] == "ClientClosedRequest" {
			cut++
		}
	}
	if cut != n {
		t.Errorf("%d of %d requests that were cut have their audit lines:\n%s", cut, n, s.logs)
	}
}

func TestSecondSignalCutsRequestsAndCountsThem(t *testing.T) {
	for name, delay := range map[string]string{"while balancers notice": "1m", "while requests are waited for": "0s"} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t).start(t, map[string]string{"SHUTDOWN_DELAY": delay, "SHUTDOWN_TIMEOUT": "1m"})
			ended := s.begin(t, 3)
			kept := s.keep(t) // is not cut: it has no request
			s.stop()
			until(t, "the drain", func() bool { return strings.Contains(s.logs.String(), "no longer ready") })
			s.hurry()
			s.cutting(t, 3, "a second signal")
			for range 3 {
				if err := <-ended; err == nil {
					t.Error("a request that was cut has been answered")
				}
			}
			_ = kept.Close()
		})
	}
}

func TestSecondSignalWithoutRequestsCutsNothing(t *testing.T) {
	s := newFixture(t).start(t, map[string]string{"SHUTDOWN_DELAY": "1m"})
	s.keep(t)
	s.stop()
	s.hurry()
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the service does not end")
	}
	if log := s.logs.String(); !strings.Contains(log, `"requests_cut":0`) || !strings.Contains(log, `"message":"stopped"`) {
		t.Errorf("log:\n%s", log)
	}
}

func TestDrainTimeoutCutsRequestsAndCountsThem(t *testing.T) {
	s := newFixture(t).start(t, map[string]string{"SHUTDOWN_TIMEOUT": "1s"})
	s.begin(t, 1)
	s.stop()
	s.cutting(t, 1, "SHUTDOWN_TIMEOUT has passed")
}

// keep opens a connection and makes a request on it. It is idle afterwards.
func (s *service) keep(t *testing.T) *rawConn {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.PublicAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	c := &rawConn{Conn: nc, r: bufio.NewReader(nc)}
	c.send(t, aRequest)
	if status, err := c.status(); status != http.StatusOK {
		t.Fatalf("%d %v", status, err)
	}
	return c
}

const aRequest = "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n"

// rawConn is a connection whose client never retries.
type rawConn struct {
	net.Conn

	r *bufio.Reader
}

func (c *rawConn) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// status reads an answer.
func (c *rawConn) status() (int, error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, fmt.Errorf("half an answer: %w", err)
	}
	return resp.StatusCode, nil
}

// TestDrainAnswersLateRequestOnIdleConnection sends a request as the drain closes
// idle connections. http.Server.Shutdown would drop it.
func TestDrainAnswersLateRequestOnIdleConnection(t *testing.T) {
	w := newFixture(t)
	for range 5 {
		s := w.start(t, nil)
		kept := make([]*rawConn, 100)
		for i := range kept {
			kept[i] = s.keep(t)
		}
		for _, c := range kept {
			c.send(t, aRequest)
		}
		s.stop()
		for _, c := range kept {
			if status, err := c.status(); status != http.StatusOK {
				t.Fatalf("%d %v", status, err)
			}
		}
		if err := <-s.done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestDrainAnswersPartiallyReceivedRequest(t *testing.T) {
	s := newFixture(t).start(t, nil)
	kept, fresh := s.keep(t), s.keep(t)
	half := len(aRequest) / 2
	kept.send(t, aRequest[:half])
	fresh.send(t, aRequest[:2])
	idle := s.keep(t)
	s.stop()
	if _, err := idle.status(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v, want it to end", err)
	}
	kept.send(t, aRequest[half:])
	fresh.send(t, aRequest[2:])
	for _, c := range []*rawConn{kept, fresh} {
		if status, err := c.status(); status != http.StatusOK {
			t.Errorf("%d %v", status, err)
		}
	}
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestDrainKeepsIdleConnectionsForThreeDelays: the next request may be on the way.
func TestDrainKeepsIdleConnectionsForThreeDelays(t *testing.T) {
	const delay = 300 * time.Millisecond
	s := newFixture(t).start(t, map[string]string{"SHUTDOWN_DELAY": delay.String()})
	began := time.Now()
	idle := s.keep(t)
	s.stop()
	if _, err := idle.status(); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v, want it to end", err)
	}
	if kept := time.Since(began); kept < 3*delay {
		t.Errorf("the idle connection is kept for %s, want %s", kept, 3*delay)
	}
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// TestDrainServesNewConnectionsDuringDelay lasts longer than the listener accepts
// queued connections.
func TestDrainServesNewConnectionsDuringDelay(t *testing.T) {
	s := newFixture(t).start(t, map[string]string{"SHUTDOWN_DELAY": "1m"})
	s.stop()
	// For longer than connections that wait already are taken in at the end.
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
		_ = s.admin(t, "/livez")
	}
	until(t, "that it is not ready", func() bool { return s.admin(t, "/readyz").status == http.StatusServiceUnavailable })
	s.keep(t)
	if got := s.vend(t, "alice", readCustomer); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	s.hurry()
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
