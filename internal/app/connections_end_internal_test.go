package app

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// accepted is a connection that nobody serves, and its client's side.
func accepted(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	s := prepared(t, 1, nil)
	client, _ := connect(t, s, "")
	nc, err := s.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	c, ok := nc.(*conn)
	if !ok {
		t.Fatalf("a %T", nc)
	}
	return c, client
}

// TestWhatHasArrivedWhenAConnectionHasToEndIsRead: a read whose deadline is over
// fails although there is something to read, and to its client that was sent in
// time. What belongs to a request that has begun has its own deadline.
func TestWhatHasArrivedWhenAConnectionHasToEndIsRead(t *testing.T) {
	for name, test := range map[string]struct {
		ends  bool
		begun bool
		sends string
		want  string
	}{
		"a request is here":       {ends: true, sends: "G", want: "G"},
		"nothing is here":         {ends: true},
		"the rest of a request":   {ends: true, begun: true, sends: "G"},
		"it does not have to end": {sends: "G"},
	} {
		t.Run(name, func(t *testing.T) {
			c, client := accepted(t)
			c.begun = test.begun
			if test.ends {
				c.ends = time.Now().Add(-time.Second)
			}
			_, sent := io.WriteString(client, test.sends)
			if err := errors.Join(sent, c.tcp.SetReadDeadline(time.Now().Add(-time.Second))); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 8)
			n, err := c.Read(p)
			if string(p[:n]) != test.want || errors.Is(err, os.ErrDeadlineExceeded) != (test.want == "") {
				t.Errorf("read %q, %v", p[:n], err)
			}
		})
	}
}

// http.Server sets a new deadline for each request, an hour from now, say: not for
// a connection that has to end, unless it has a request.
func TestAConnectionThatHasToEndKeepsItsDeadline(t *testing.T) {
	c, _ := accepted(t)
	c.ends = time.Now().Add(-time.Second)
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ends with %v", err)
	}

	c, client := accepted(t)
	c.ends, c.begun = time.Now().Add(-time.Second), true
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "T"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("of a request that has begun %d bytes are read, %v", n, err)
	}
}
