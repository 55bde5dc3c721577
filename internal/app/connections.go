package app

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// connections are those of the public listener. They are followed here, and not
// by http.Server, which closes a connection for idle when it stops although a
// request has just arrived on it, and takes in as many as come.
type connections struct {
	most int

	mu      sync.Mutex
	open    map[*conn]struct{}
	waiting list.List // of *conn: those whose client has to do the next thing, the longest first
	leaving bool
	rest    time.Duration // how long an idle one is kept when leaving
	gone    chan struct{} // closed when leaving and none is open
	cutting bool
	cut     int // requests that had no answer when their connection ended, since cutting
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[*conn]struct{}{}, gone: make(chan struct{})}
}

// conn is one of them. It stands above TLS and not below: what a handshake or an
// alert brings is not a part of a request.
type conn struct {
	net.Conn // tcp, or TLS over it

	tcp *net.TCPConn
	all *connections

	// What follows is guarded by all.mu.
	place *list.Element // among those that wait for their client, or nil
	idle  time.Time     // since when; zero before its first request
	begun bool          // something of its next request is here
	done  bool          // the handler has returned
	out   bool          // and what it left to be written was
	ends  time.Time     // when it has to end, unless something has come; zero: not yet
}

// following has the connections know when a request is worked on, of which
// http.Server says nothing when it came together with the one before, and whether
// they wait for their client in the midst of it: for its body, or for its taking
// the answer.
func (a *connections) following(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			next.ServeHTTP(w, r) // never: withConn is the server's
			return
		}
		a.begins(c)
		defer a.returned(c)
		if r.Body != http.NoBody {
			a.awaits(c)
			r = r.WithContext(r.Context()) // a copy: net/http looks at the Body of its own for Expect
			r.Body = &body{ReadCloser: r.Body, conn: c}
		}
		next.ServeHTTP(w, r)
	})
}

// begins says that the header of a request is here.
func (a *connections) begins(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.work(c)
	c.begun, c.done, c.out = true, false, false
}

// returned says that its handler has returned. net/http may still have to write.
func (a *connections) returned(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.done = true
}

// connKey is where the context of a request has its connection.
type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

// body is that of a request. Until it has come to its end the connection waits
// for it, also when nobody reads it: net/http does before it answers.
type body struct {
	io.ReadCloser

	conn *conn
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.conn.all.goesOn(b.conn)
	}
	return n, err //nolint:wrapcheck // a reader's io.EOF is compared
}

// listener makes them.
type listener struct {
	*net.TCPListener

	all *connections
	tls *tls.Config // nil: plain HTTP
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	accepted, err := l.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		accepted, err = l.last()
	}
	if err != nil {
		return nil, err
	}
	if l.tls == nil {
		return &conn{Conn: accepted, tcp: accepted, all: l.all}, nil
	}
	// The handshake is a part of the first Read, within the time for a header.
	return &conn{Conn: tls.Server(accepted, l.tls), tcp: accepted, all: l.all}, nil
}

// finish closes the listener once no connection is left that waits to be accepted,
// or when ctx ends. The kernel resets those that wait when a listener closes, and
// to their clients they are connected already.
func (l listener) finish(ctx context.Context) {
	context.AfterFunc(ctx, func() { _ = l.Close() })
	_ = l.SetDeadline(time.Now())
}

// last is Accept after finish.
func (l listener) last() (*net.TCPConn, error) {
	_ = l.SetDeadline(time.Now().Add(lastLook))
	accepted, err := l.AcceptTCP()
	if err != nil {
		_ = l.Close()
		return nil, net.ErrClosed // a deadline has http.Server try again
	}
	return accepted, nil
}

// changed is called by http.Server. It says that a connection is active only
// when the whole header of a request is there.
func (a *connections) changed(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch state {
	case http.StateNew:
		a.open[c] = struct{}{}
		a.wait(c)
		a.makeRoom(c)
	case http.StateActive:
		a.work(c)
	case http.StateIdle:
		c.begun, c.out, c.idle = false, false, time.Now()
		if a.leaving { // it had its request before the drain, and the answer did not say that it ends
			c.ends = c.idle.Add(a.rest)
		}
		a.wait(c)
	case http.StateHijacked, http.StateClosed:
		a.forget(c)
	}
}

// wait puts a connection last among those that wait. It may wait already, for a
// body that nobody has read to its end.
func (a *connections) wait(c *conn) {
	a.work(c)
	c.place = a.waiting.PushBack(c)
}

// awaits is wait for a connection that may have been closed meanwhile, or that
// waits already. It reports whether it began to.
func (a *connections) awaits(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, open := a.open[c]; !open || c.place != nil {
		return false
	}
	a.wait(c)
	return true
}

// goesOn is work for the same.
func (a *connections) goesOn(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.work(c)
}

func (a *connections) work(c *conn) {
	if c.place != nil {
		a.waiting.Remove(c.place)
		c.place = nil
	}
}

func (a *connections) forget(c *conn) {
	a.work(c)
	if _, open := a.open[c]; open && a.cutting && c.underWay() {
		a.cut++
	}
	delete(a.open, c)
	if a.leaving && len(a.open) == 0 {
		select {
		case <-a.gone:
		default:
			close(a.gone)
		}
	}
}

// underWay reports whether there is a request, or a part of one, without an answer.
func (c *conn) underWay() bool { return c.begun && !c.out }

// makeRoom keeps the number of connections within bounds: for a new one the one
// goes whose client has kept us waiting for the longest, be it for a request, for
// the rest of one, or for taking an answer. Whoever holds many for nothing pushes
// out their own, and a caller with a request is let in.
func (a *connections) makeRoom(newest *conn) {
	if len(a.open) <= a.most {
		return
	}
	victim, ok := a.waiting.Front().Value.(*conn)
	if !ok {
		victim = newest // never: it waits, too
	}
	a.forget(victim)
	_ = victim.tcp.Close() // without a word: TLS would wait for a client that does not read
}

// leave ends every connection once it has no request any more, those that are
// idle when they have been so for as long as rest, and returns when all have
// ended, or ctx has. It reports whether they have.
func (a *connections) leave(ctx context.Context, rest time.Duration) bool {
	a.mu.Lock()
	a.leaving, a.rest = true, rest
	if len(a.open) == 0 {
		close(a.gone)
	}
	for c := range a.open {
		// A new one is given the time that it has for its first request, and one
		// with a request is seen to when that is done.
		if c.place != nil && !c.idle.IsZero() {
			c.ends = c.idle.Add(rest)
			if !c.begun {
				_ = c.tcp.SetReadDeadline(c.ends)
			}
		}
	}
	a.mu.Unlock()
	return a.ended(ctx)
}

// isCut has every connection count from now on whose request has no answer when
// it ends: only then is it known whether an answer was still written.
func (a *connections) isCut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cutting = true
}

// wereCut is the number of those, and of the requests whose handlers do not return.
func (a *connections) wereCut() int {
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

// ended waits for all connections to end, and reports whether they have.
func (a *connections) ended(ctx context.Context) bool {
	select {
	case <-a.gone:
		return true
	case <-ctx.Done():
		return false
	}
}

// lastLook is how long a connection that has to end is still read from, and a
// listener accepted from: what is there already is there at once.
const (
	lastLook = 10 * time.Millisecond
	// lastLookTLS is longer: a record counts when all of its packets are here.
	lastLookTLS = 100 * time.Millisecond
)

func (c *conn) lastLook() time.Duration {
	if c.Conn == net.Conn(c.tcp) {
		return lastLook
	}
	return lastLookTLS
}

// Close implements net.Conn. TLS says goodbye, for which it waits up to 5 s if
// the client does not read. Nobody waits for that when all connections are cut.
func (c *conn) Close() error {
	c.all.mu.Lock()
	cutting := c.all.cutting
	c.all.mu.Unlock()
	if cutting {
		return c.tcp.Close() //nolint:wrapcheck // http.Server looks at what it is
	}
	return c.Conn.Close() //nolint:wrapcheck // likewise
}

// CloseWrite has http.Server send the last answer to a client that still writes,
// before it closes the connection.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.hasToEnd() {
		_ = c.tcp.SetReadDeadline(time.Now().Add(c.lastLook()))
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.all.mu.Lock()
		c.begun = true
		c.all.mu.Unlock()
	}
	return n, err //nolint:wrapcheck // http.Server looks at what it is
}

// Write implements net.Conn. A client that does not read keeps us waiting, too.
func (c *conn) Write(p []byte) (int, error) {
	if c.all.awaits(c) {
		defer c.all.goesOn(c)
	}
	n, err := c.Conn.Write(p)
	c.all.mu.Lock()
	c.out = c.done && err == nil
	c.all.mu.Unlock()
	return n, err //nolint:wrapcheck // http.Server looks at what it is
}

// SetReadDeadline implements net.Conn. A connection that has to end keeps the
// deadline that it was given for that.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if !c.ends.IsZero() && !c.begun {
		t = c.ends
	}
	return c.tcp.SetReadDeadline(t) //nolint:wrapcheck // http.Server looks at what it is
}

// hasToEnd reports whether the connection has to end and has no request.
func (c *conn) hasToEnd() bool {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return !c.ends.IsZero() && !c.begun
}
