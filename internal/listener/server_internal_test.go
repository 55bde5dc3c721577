package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDrainWaitsForNewConnection: its first request may be on the way.
func TestDrainWaitsForNewConnection(t *testing.T) {
	f := start(t, 10, answerAndClose)
	fresh := f.open(t, "")
	f.waitForIdle(t, 1)
	ended := f.drain(t, time.Millisecond)
	f.waitForDrain(t)
	_ = fresh.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := fresh.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection has ended: %v", err)
	}
	_ = fresh.SetDeadline(time.Now().Add(10 * time.Second))
	send(t, fresh, request)
	expect(t, fresh, statusOK)
	expectDrained(t, ended)
}

// TestDrainKeepsIdleConnectionsForAWhile also sends a request on one. It is
// answered.
func TestDrainKeepsIdleConnectionsForAWhile(t *testing.T) {
	f := start(t, 10, answer)
	busy, idle := f.open(t, request), f.open(t, request)
	expect(t, busy, statusOK)
	expect(t, idle, statusOK)
	f.waitForIdle(t, 2)
	const keepIdle = 300 * time.Millisecond
	began := time.Now()
	ended := f.drain(t, keepIdle)
	f.waitForDrain(t)
	send(t, busy, request)
	for name, c := range map[string]net.Conn{"busy": busy, "idle": idle} {
		answers, err := io.ReadAll(c)
		if got := strings.Count(string(answers), statusOK); err != nil || name == "busy" && got != 1 {
			t.Errorf("%s connection: %d answers, %v", name, got, err)
		}
	}
	expectDrained(t, ended)
	if took := time.Since(began); took < keepIdle/2 {
		t.Errorf("the drain ended idle connections after %s", took)
	}
}

// TestDrainAnswersRequestOnIdleConnection sends a request as the drain closes its
// connection.
func TestDrainAnswersRequestOnIdleConnection(t *testing.T) {
	f := startTLS(t, 10, answerAndClose)
	c := f.open(t, "")
	f.waitForIdle(t, 1)
	ended := f.drain(t, 0)
	send(t, c, request)
	expect(t, c, statusOK)
	expectDrained(t, ended)
}

// TestDrainServesQueuedConnections: the kernel resets a queued connection when the
// listener closes, although its client may have sent a request.
func TestDrainServesQueuedConnections(t *testing.T) {
	f := prepare(t, 100, answerAndClose)
	var queued []net.Conn
	for range 50 {
		queued = append(queued, f.open(t, request))
	}
	ended := f.drain(t, 0)
	go func() { _ = f.Serve() }() // as if the process had no time to accept them
	for _, c := range queued {
		expect(t, c, statusOK)
	}
	expectDrained(t, ended)
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.Addr()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestNewConnectionsDoNotDelayDrainForever(t *testing.T) {
	f := start(t, 100, answerAndClose)
	for range 4 {
		go func() {
			for {
				c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.Addr())
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	}
	f.eventually(t, "a client has connected", func() bool { return len(f.connections.open) > 0 })
	select {
	case complete := <-f.drain(t, 0):
		if !complete {
			t.Error("the drain did not end every connection")
		}
	case <-time.After(10 * acceptWithin):
		t.Error("the listener stays open")
	}
}

func TestEndedContextClosesListenerAtOnce(t *testing.T) {
	f := prepare(t, 100, answerAndClose)
	hurry, now := context.WithCancel(t.Context())
	now()
	f.acceptor.stop(hurry)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.Addr())
		if err != nil {
			return
		}
		_ = c.Close()
	}
	t.Error("the listener stays open")
}

// TestCutDoesNotCountAnsweredRequest delays the report of net/http, which calls a
// connection idle some time after its client has the answer.
func TestCutDoesNotCountAnsweredRequest(t *testing.T) {
	release := make(chan struct{})
	f := prepare(t, 10, answer)
	f.http.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			<-release
		}
		f.connections.stateChanged(c, state)
	}
	go func() { _ = f.Serve() }()
	expect(t, f.open(t, request), statusOK)
	expectCut(t, f.cut(t), 0)
	close(release)
}

// TestCutCountsRequestAnsweredTooLate: its handler has returned, but no part of
// the answer has arrived.
func TestCutCountsRequestAnsweredTooLate(t *testing.T) {
	h, b := blocking()
	f := start(t, 10, h)
	late := f.open(t, request)
	<-b.begun
	cut := f.cut(t)
	if _, err := late.Read(make([]byte, 1)); err == nil {
		t.Error("the request is answered")
	}
	close(b.release)
	expectCut(t, cut, 1)
}

func TestCutCountsRequestWhoseHandlerHangs(t *testing.T) {
	for name, write := range map[string]func(http.ResponseWriter){
		"no answer": func(http.ResponseWriter) {},
		"part of the answer": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "a part")
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			hang, b := blocking()
			f := start(t, 10, func(w http.ResponseWriter, r *http.Request) {
				write(w)
				hang(w, r)
			})
			f.open(t, request)
			<-b.begun
			expectCut(t, f.cut(t), 1)
			close(b.release)
		})
	}
}

func TestCutDoesNotCountClientThatLeft(t *testing.T) {
	f := start(t, 10, answerAndClose)
	gone := f.open(t, request[:10])
	f.eventually(t, "a part of the request was read", func() bool {
		last := f.connections.waiting.Back()
		if last == nil {
			return false
		}
		c, ok := last.Value.(*conn)
		return ok && c.arriving
	})
	_ = gone.Close()
	f.waitForIdle(t, 0)
	if got := f.Cut(100 * time.Millisecond); got != 0 {
		t.Errorf("%d requests were cut, want none", got)
	}
}

func TestCutCountsPartOfRequest(t *testing.T) {
	f := start(t, 10, answerAndClose)
	f.linger(t, request[:10])
	expectCut(t, f.cut(t), 1)
}

// TestPipelinedRequestIsUnderWay sends two requests at once. net/http reports no
// state for the second one.
func TestPipelinedRequestIsUnderWay(t *testing.T) {
	block, b := blocking()
	f := start(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			block(w, r)
		}
	})
	both := f.open(t, request+"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
	expect(t, both, statusOK)
	<-b.begun
	other := f.open(t, "")
	_ = other.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := other.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a second connection is accepted: %v", err)
	}
	_ = both.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	rest, _ := io.ReadAll(both)
	cut := f.cut(t)
	_ = both.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := both.Read(make([]byte, 1)); err == nil {
		t.Errorf("the second request is answered, after %q", rest)
	}
	close(b.release)
	expectCut(t, cut, 1)
}
