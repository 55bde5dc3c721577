package listener

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections are the open connections of a server.
type connections struct {
	limit   int
	evicted atomic.Uint64

	mu       sync.Mutex
	open     map[*conn]struct{}
	waiting  list.List // of *conn: connections waiting for their client, the longest first
	draining bool
	keepIdle time.Duration // how long a drain keeps an idle connection
	empty    chan struct{} // closed when a drain has no connection left
	cutting  bool
	cut      int // requests without an answer whose connection ended while cutting
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, open: map[*conn]struct{}{}, empty: make(chan struct{})}
}

// follow is a middleware. It notes when a request begins and ends, and when its
// client must send the body. http.Server's states do not show pipelined requests.
func (a *connections) follow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			next.ServeHTTP(w, r) // never: the server sets withConn
			return
		}
		a.requestBegins(c)
		defer a.handlerReturned(c)
		if r.Body != http.NoBody {
			a.startWaiting(c)
			r = r.WithContext(r.Context()) // a copy: net/http still uses its own Body, for Expect
			r.Body = &body{ReadCloser: r.Body, conn: c}
		}
		next.ServeHTTP(w, r)
	})
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

// requestBegins notes that the header of a request was read.
func (a *connections) requestBegins(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unqueue(c)
	c.arriving, c.handled, c.answered = true, false, false
}

// handlerReturned notes that a handler has returned. net/http may still have to
// write a part of the answer.
func (a *connections) handlerReturned(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.handled = true
}

// stateChanged is http.Server's ConnState. A connection becomes active only when
// the whole header of a request was read.
func (a *connections) stateChanged(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch state {
	case http.StateNew:
		a.open[c] = struct{}{}
		a.queue(c)
		a.evict(c)
	case http.StateActive:
		a.unqueue(c)
	case http.StateIdle:
		c.arriving, c.answered, c.idleSince = false, false, time.Now()
		if a.draining { // its request came before the drain, so the answer did not announce the end
			c.endsAt = c.idleSince.Add(a.keepIdle)
		}
		a.queue(c)
	case http.StateHijacked, http.StateClosed:
		a.remove(c)
	}
}

// queue puts a connection at the end of waiting. It may already wait, for the rest
// of a body.
func (a *connections) queue(c *conn) {
	a.unqueue(c)
	c.waiting = a.waiting.PushBack(c)
}

func (a *connections) unqueue(c *conn) {
	if c.waiting != nil {
		a.waiting.Remove(c.waiting)
		c.waiting = nil
	}
}

// startWaiting is like queue, but ignores a closed or waiting connection. It reports
// whether the connection began to wait.
func (a *connections) startWaiting(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, open := a.open[c]; !open || c.waiting != nil {
		return false
	}
	a.queue(c)
	return true
}

func (a *connections) stopWaiting(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unqueue(c)
}

// evict keeps the number of connections within the limit. It closes the connection
// that has waited longest for its client: to send a request or the rest of one, or
// to read an answer. So a client with many idle connections evicts its own, and a
// client with a request gets in.
func (a *connections) evict(newest *conn) {
	if len(a.open) <= a.limit {
		return
	}
	victim, ok := a.waiting.Front().Value.(*conn)
	if !ok {
		victim = newest // never: it waits, too
	}
	a.remove(victim)
	a.evicted.Add(1)
	_ = victim.tcp.Close() // without a TLS alert, since a slow client would delay it
}

func (a *connections) remove(c *conn) {
	a.unqueue(c)
	if _, open := a.open[c]; open && a.cutting && c.underWay() {
		a.cut++
	}
	delete(a.open, c)
	if a.draining && len(a.open) == 0 {
		select {
		case <-a.empty:
		default:
			close(a.empty)
		}
	}
}

// drain ends every connection without a request, an idle one after keepIdle. It
// waits until all have ended or ctx ends, and reports whether all have ended.
func (a *connections) drain(ctx context.Context, keepIdle time.Duration) bool {
	a.mu.Lock()
	a.draining, a.keepIdle = true, keepIdle
	if len(a.open) == 0 {
		close(a.empty)
	}
	for c := range a.open {
		// A new connection keeps the time for its first request. stateChanged
		// handles a connection with a request.
		if c.waiting != nil && !c.idleSince.IsZero() {
			c.endsAt = c.idleSince.Add(keepIdle)
			if !c.arriving {
				_ = c.tcp.SetReadDeadline(c.endsAt)
			}
		}
	}
	a.mu.Unlock()
	return a.waitUntilEmpty(ctx)
}

// waitUntilEmpty waits for all connections to end, and reports whether they have.
func (a *connections) waitUntilEmpty(ctx context.Context) bool {
	select {
	case <-a.empty:
		return true
	case <-ctx.Done():
		return false
	}
}

// startCounting counts requests without an answer as their connections end. Only
// then is it certain that no answer was written.
func (a *connections) startCounting() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cutting = true
}

// countCut is the number of these requests, and of requests whose handlers have
// not returned.
func (a *connections) countCut() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	cut := a.cut
	for c := range a.open {
		if c.underWay() {
			cut++
		}
	}
	return cut
}
