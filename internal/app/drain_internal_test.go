package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// closing answers, and says that the connection ends.
func closing(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }

// The kernel resets what waits in a listener's queue when that is closed, although
// its client is connected and may have sent its request.
func TestConnectionsThatWaitToBeAcceptedAsTheListenerClosesAreServed(t *testing.T) {
	s := prepared(t, 100, http.HandlerFunc(closing))
	var waiting []net.Conn
	for range 50 {
		c, _ := connect(t, s, "")
		if _, err := io.WriteString(c, plainRequest); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	left := make(chan bool, 1)
	go func() { left <- s.drain(t.Context(), 0) }()
	go func() { _ = s.serve() }() // as when the process had no time to accept them before
	for _, c := range waiting {
		answer := make([]byte, 12)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 200" {
			t.Fatalf("%q %v", answer, err)
		}
	}
	if !<-left {
		t.Error("the drain has not come to its end")
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestAStreamOfNewConnectionsDoesNotKeepTheListenerOpen(t *testing.T) {
	s := small(t, 100, http.HandlerFunc(closing))
	for range 4 {
		go func() {
			for {
				c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	}
	waitUntil(t, "somebody has connected", func() bool { return len(s.connections.open) > 0 }, s)
	left := make(chan bool, 1)
	go func() { left <- s.drain(t.Context(), 0) }()
	select {
	case good := <-left:
		if !good {
			t.Error("the drain has not come to its end")
		}
	case <-time.After(10 * acceptWithin):
		t.Error("the listener stays open")
	}
}

func TestASecondSignalClosesTheListenerAtOnce(t *testing.T) {
	s := prepared(t, 100, http.HandlerFunc(closing))
	hurry, now := context.WithCancel(t.Context())
	now()
	s.listener.finish(hurry)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listener.Addr().String())
		if err != nil {
			return
		}
		_ = c.Close()
	}
	t.Error("the listener stays open")
}

// finished is what cut returns once drain has given up at once.
func finished(t *testing.T, s *server) <-chan int {
	t.Helper()
	hurry, now := context.WithCancel(t.Context())
	now()
	if s.drain(hurry, time.Minute) {
		t.Fatal("the drain has come to its end")
	}
	cut := make(chan int, 1)
	go func() { cut <- s.cut(100 * time.Millisecond) }()
	return cut
}

// net/http says that a connection is idle some time after its client has the
// answer.
func TestARequestThatWasAnsweredIsNotCut(t *testing.T) {
	release := make(chan struct{})
	s := prepared(t, 10, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.http.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			<-release
		}
		s.connections.changed(c, state)
	}
	go func() { _ = s.serve() }()
	if _, answer := connect(t, s, plainRequest); answer != "HTTP/1.1 200" {
		t.Errorf("%q", answer)
	}
	if got := <-finished(t, s); got != 0 {
		t.Errorf("%d requests were cut, want none", got)
	}
	close(release)
}

// Its handler has returned, but nothing of its answer has arrived.
func TestARequestWhoseAnswerComesTooLateIsCut(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := small(t, 10, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	}))
	late, _ := connect(t, s, "")
	if _, err := io.WriteString(late, plainRequest); err != nil {
		t.Fatal(err)
	}
	<-begun
	cut := finished(t, s)
	if _, err := late.Read(make([]byte, 1)); err == nil {
		t.Error("the request is answered")
	}
	close(release)
	if got := <-cut; got != 1 {
		t.Errorf("%d requests were cut, want 1", got)
	}
}

// Whatever a request that was cut does afterwards, it is counted.
func TestARequestWhoseHandlerDoesNotReturnIsCut(t *testing.T) {
	for name, first := range map[string]func(http.ResponseWriter){
		"nothing is written": func(http.ResponseWriter) {},
		"a part is written": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "a part")
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			begun, release := make(chan struct{}), make(chan struct{})
			s := small(t, 10, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				first(w)
				close(begun)
				<-release
			}))
			c, _ := connect(t, s, "")
			if _, err := io.WriteString(c, plainRequest); err != nil {
				t.Fatal(err)
			}
			<-begun
			if got := <-finished(t, s); got != 1 {
				t.Errorf("%d requests were cut, want 1", got)
			}
			close(release)
		})
	}
}

// Nobody cut those.
func TestARequestWhoseClientWentAwayBeforeIsNotCut(t *testing.T) {
	s := small(t, 10, http.HandlerFunc(closing))
	gone, _ := connect(t, s, "")
	if _, err := io.WriteString(gone, plainRequest[:10]); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "a part of the request is there", func() bool {
		last := s.connections.waiting.Back()
		if last == nil {
			return false
		}
		of, ok := last.Value.(*conn)
		return ok && of.begun
	}, s)
	_ = gone.Close()
	waitFor(t, s, 0)
	if got := s.cut(100 * time.Millisecond); got != 0 {
		t.Errorf("%d requests were cut, want none", got)
	}
}

func TestARequestOfWhichOnlyAPartIsThereIsCut(t *testing.T) {
	s := small(t, 10, http.HandlerFunc(closing))
	linger(t, s, plainRequest[:10])
	if got := <-finished(t, s); got != 1 {
		t.Errorf("%d requests were cut, want 1", got)
	}
}

// Of a request that came together with the one before net/http does not say that
// it has begun.
func TestARequestBehindAnotherIsUnderWayLikeAnyOther(t *testing.T) {
	begun, release := make(chan struct{}, 2), make(chan struct{})
	s := small(t, 1, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			begun <- struct{}{}
			<-release
		}
	}))
	both, answer := connect(t, s, plainRequest+"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer != "HTTP/1.1 200" {
		t.Errorf("%q", answer)
	}
	<-begun
	pushing, _ := connect(t, s, "")
	_ = pushing.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := pushing.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a second connection is let in: %v", err)
	}
	_ = both.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	rest, _ := io.ReadAll(both)
	cut := finished(t, s)
	_ = both.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := both.Read(make([]byte, 1)); err == nil {
		t.Errorf("the second request is answered, after %q", rest)
	}
	close(release)
	if got := <-cut; got != 1 {
		t.Errorf("%d requests were cut, want 1", got)
	}
}
