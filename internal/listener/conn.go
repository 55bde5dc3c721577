package listener

import (
	"container/list"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	// graceTCP is how long the server still reads an ending connection, and still
	// accepts from a closing listener. Arrived data is available at once.
	graceTCP = 10 * time.Millisecond
	// graceTLS is longer: a TLS record counts only once all of its packets are here.
	graceTLS = 100 * time.Millisecond
)

// conn is an accepted connection. It wraps TLS, not TCP, since a handshake or an
// alert is not part of a request.
type conn struct {
	net.Conn // tcp, or TLS over it

	tcp *net.TCPConn
	all *connections

	// all.mu guards the fields below.
	waiting   *list.Element // position in all.waiting; nil while the server works on a request
	idleSince time.Time     // zero before the first request
	arriving  bool          // at least a part of a request was read
	handled   bool          // its handler has returned
	answered  bool          // and all of the answer was written
	endsAt    time.Time     // when the connection must end unless a request arrives; zero: not yet
}

// underWay reports whether a request, or a part of one, has no answer yet.
func (c *conn) underWay() bool { return c.arriving && !c.answered }

// mustEnd reports whether the connection has to end and has no request.
func (c *conn) mustEnd() bool {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	return !c.endsAt.IsZero() && !c.arriving
}

func (c *conn) grace() time.Duration {
	if c.Conn == net.Conn(c.tcp) {
		return graceTCP
	}
	return graceTLS
}

// Read implements net.Conn. A read past its deadline fails even if data has
// arrived, so it reads an ending connection once more.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.mustEnd() {
		_ = c.tcp.SetReadDeadline(time.Now().Add(c.grace()))
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.all.mu.Lock()
		c.arriving = true
		c.all.mu.Unlock()
	}
	return n, err //nolint:wrapcheck // http.Server compares it
}

// Write implements net.Conn. It counts as waiting, since the client may not read.
func (c *conn) Write(p []byte) (int, error) {
	if c.all.startWaiting(c) {
		defer c.all.stopWaiting(c)
	}
	n, err := c.Conn.Write(p)
	c.all.mu.Lock()
	c.answered = c.handled && err == nil
	c.all.mu.Unlock()
	return n, err //nolint:wrapcheck // http.Server compares it
}

// SetReadDeadline implements net.Conn. An ending connection keeps its own deadline.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if !c.endsAt.IsZero() && !c.arriving {
		t = c.endsAt
	}
	return c.tcp.SetReadDeadline(t) //nolint:wrapcheck // http.Server compares it
}

// Close implements net.Conn. TLS sends an alert first, which takes up to 5 s if
// the client does not read. A cut does not wait for that.
func (c *conn) Close() error {
	c.all.mu.Lock()
	cutting := c.all.cutting
	c.all.mu.Unlock()
	if cutting {
		return c.tcp.Close() //nolint:wrapcheck // http.Server compares it
	}
	return c.Conn.Close() //nolint:wrapcheck // http.Server compares it
}

// CloseWrite lets http.Server send the last answer before it closes the connection,
// even if the client still writes.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// body is the body of a request. Its connection waits for the client until the
// body ends. That holds for an unread body, too: net/http reads it before it
// answers.
type body struct {
	io.ReadCloser

	conn *conn
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.conn.all.stopWaiting(b.conn)
	}
	return n, err //nolint:wrapcheck // callers compare io.EOF
}
