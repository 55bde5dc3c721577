package app

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// small is a server with room for few connections.
func small(t *testing.T, most int, h http.Handler) *server {
	t.Helper()
	s := prepared(t, most, h)
	go func() { _ = s.serve() }()
	return s
}

// prepared is one that listens, but does not serve yet.
func prepared(t *testing.T, most int, h http.Handler) *server {
	t.Helper()
	s, err := listen(t.Context(), "127.0.0.1:0", h, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s.connections.most = most
	t.Cleanup(func() {
		_ = s.http.Close()
		_ = s.listener.Close()
	})
	return s
}

// connect opens one, and makes a request on it unless that is empty. It returns
// what came back.
func connect(t *testing.T, s *server, request string) (net.Conn, string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if request == "" {
		return c, ""
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	_, _ = io.ReadFull(c, answer)
	return c, string(answer)
}

const plainRequest = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// waitUntil waits until something is so, of connections that nothing changes
// meanwhile.
func waitUntil(t *testing.T, what string, so func() bool, s *server) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; <-time.After(time.Millisecond) {
		s.connections.mu.Lock()
		good := so()
		s.connections.mu.Unlock()
		if good {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not come true that %s", what)
		}
	}
}

// waitFor waits until so many connections are open, and all of them idle.
func waitFor(t *testing.T, s *server, n int) {
	t.Helper()
	waitUntil(t, fmt.Sprintf("%d connections are open and idle", n), func() bool {
		return len(s.connections.open) == n && s.connections.waiting.Len() == n
	}, s)
}

func TestTheLongestIdleConnectionMakesRoomForANewOne(t *testing.T) {
	s := small(t, 3, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	first, _ := connect(t, s, plainRequest)
	second, _ := connect(t, s, "")
	third, _ := connect(t, s, plainRequest)
	waitFor(t, s, 3)
	if _, err := io.WriteString(first, plainRequest); err != nil { // so that the second is the longest idle
		t.Fatal(err)
	}
	waitUntil(t, "the second is the longest idle", func() bool {
		c, ok := s.connections.waiting.Front().Value.(*conn)
		return ok && c.RemoteAddr().String() == second.LocalAddr().String() && s.connections.waiting.Len() == 3
	}, s)
	if _, answer := connect(t, s, plainRequest); answer != "HTTP/1.1 200" {
		t.Errorf("the new connection got %q", answer)
	}
	_ = second.SetReadDeadline(time.Now().Add(2 * time.Second)) // before the time for its header is over
	if _, err := second.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the longest idle connection is still open")
	}
	for name, c := range map[string]net.Conn{"first": first, "third": third} {
		if _, err := io.WriteString(c, plainRequest); err != nil {
			t.Errorf("the %s: %v", name, err)
		}
	}
	waitFor(t, s, 3)
}

func TestConnectionsWithARequestAreNotPushedOut(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{}, 8)
	s := small(t, 2, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	}))
	busy := make([]net.Conn, 2)
	for i := range busy {
		busy[i], _ = connect(t, s, "")
		if _, err := io.WriteString(busy[i], plainRequest); err != nil {
			t.Fatal(err)
		}
		<-begun
	}
	turnedAway, _ := connect(t, s, "")
	if _, err := turnedAway.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is served")
	}
	close(release)
	for _, c := range busy {
		answer := make([]byte, 12)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 200" {
			t.Errorf("a request under way: %q %v", answer, err)
		}
	}
}

// A client that has just connected has its first request on the way.
func TestANewConnectionIsWaitedForWhenTheServerDrains(t *testing.T) {
	s := small(t, 10, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	fresh, _ := connect(t, s, "")
	waitFor(t, s, 1)
	left := make(chan bool, 1)
	go func() { left <- s.drain(t.Context(), time.Millisecond) }()
	waitUntil(t, "the drain has begun", func() bool { return s.connections.leaving }, s)
	_ = fresh.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := fresh.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection has ended: %v", err)
	}
	_ = fresh.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(fresh, plainRequest); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(fresh, answer); err != nil || string(answer) != "HTTP/1.1 200" {
		t.Errorf("%q %v", answer, err)
	}
	if !<-left {
		t.Error("the drain has not come to its end")
	}
}

// Its next request is told that the connection ends, and the one after that goes
// elsewhere.
func TestAnIdleConnectionIsKeptForAWhileWhenTheServerDrains(t *testing.T) {
	s := small(t, 10, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	busy, _ := connect(t, s, plainRequest)
	idle, _ := connect(t, s, plainRequest)
	waitFor(t, s, 2)
	const rest = 300 * time.Millisecond
	began, left := time.Now(), make(chan bool, 1)
	go func() { left <- s.drain(t.Context(), rest) }()
	waitUntil(t, "the drain has begun", func() bool { return s.connections.leaving }, s)
	if _, err := io.WriteString(busy, plainRequest); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"busy": busy, "idle": idle} {
		answers, err := io.ReadAll(c)
		if got := strings.Count(string(answers), "HTTP/1.1 200"); err != nil || name == "busy" && got != 1 {
			t.Errorf("the %s one: %d answers, %v", name, got, err)
		}
	}
	if !<-left || time.Since(began) < rest/2 {
		t.Errorf("after %s the drain has not come to its end, or too early", time.Since(began))
	}
}

// refusing answers without reading the body, so that net/http does before it
// sends the answer.
func refusing(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }

func reading(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// gushing never comes to the end of its answer, unless the client is gone.
func gushing(w http.ResponseWriter, _ *http.Request) {
	for piece := make([]byte, 64<<10); ; {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// linger says something on a new connection, and waits until that one waits for
// its client.
func linger(t *testing.T, s *server, say string) {
	t.Helper()
	c, _ := connect(t, s, "")
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	var place *list.Element
	seen := 0
	waitUntil(t, "it waits for its client", func() bool {
		for of := range s.connections.open {
			if of.RemoteAddr().String() != c.LocalAddr().String() {
				continue
			}
			if seen++; of.place == nil || of.place != place || !of.begun {
				place, seen = of.place, 0
			}
		}
		return seen >= 20 // it may still have been read from, or written to
	}, s)
}

// Nobody keeps others out by a request that does not come to its end.
func TestASlowRequestMakesRoomForANewConnection(t *testing.T) {
	const slowBody = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx"
	const slowChunks = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx"
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		slow    string
	}{
		"a body that is read":        {reading, slowBody},
		"a body that is not read":    {refusing, slowBody},
		"chunks":                     {reading, slowChunks},
		"a header":                   {refusing, "GET / HTTP/1.1\r\nX-Slow: "},
		"an answer that is not read": {gushing, "GET /gush HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := small(t, 2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost || r.URL.Path == "/gush" {
					test.handler(w, r)
				}
			}))
			for range 3 {
				linger(t, s, test.slow)
			}
			if _, answer := connect(t, s, plainRequest); answer != "HTTP/1.1 200" {
				t.Errorf("a good client gets %q", answer)
			}
		})
	}
}

// A request whose body is here is worked on, and nobody else's to cut.
func TestARequestWithItsWholeBodyIsNotPushedOut(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{})
	s := small(t, 1, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(begun)
		<-release
	}))
	busy, _ := connect(t, s, "")
	if _, err := io.WriteString(busy, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
		t.Fatal(err)
	}
	<-begun
	turnedAway, _ := connect(t, s, "")
	if _, err := turnedAway.Read(make([]byte, 1)); err == nil {
		t.Error("a second connection is served")
	}
	close(release)
	answer := make([]byte, 12)
	if _, err := io.ReadFull(busy, answer); err != nil || string(answer) != "HTTP/1.1 200" {
		t.Errorf("the request: %q %v", answer, err)
	}
}

// A body that only net/http has read is over with its request.
func TestARequestWhoseBodyNobodyReadLeavesNothingBehind(t *testing.T) {
	s := small(t, 10, http.HandlerFunc(refusing))
	c, answer := connect(t, s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
	if answer != "HTTP/1.1 401" {
		t.Errorf("%q", answer)
	}
	waitFor(t, s, 1)
	_ = c.Close()
	waitFor(t, s, 0)
}
