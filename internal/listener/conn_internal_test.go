package listener

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// acceptOne returns an accepted connection and its client's side. Nothing serves
// it.
func acceptOne(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	f := prepare(t, 1, nil)
	client := f.dial(t)
	nc, err := f.acceptor.Accept()
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

// TestEndingConnectionReadsArrivedData reads past the deadline. The client sent
// its data in time. The rest of a request has a deadline of its own.
func TestEndingConnectionReadsArrivedData(t *testing.T) {
	for name, test := range map[string]struct {
		ends     bool
		arriving bool
		sends    string
		want     string
	}{
		"request has arrived":     {ends: true, sends: "G", want: "G"},
		"no data":                 {ends: true},
		"rest of a request":       {ends: true, arriving: true, sends: "G"},
		"connection need not end": {sends: "G"},
	} {
		t.Run(name, func(t *testing.T) {
			c, client := acceptOne(t)
			c.arriving = test.arriving
			if test.ends {
				c.endsAt = time.Now().Add(-time.Second)
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

// TestEndingConnectionKeepsItsDeadline sets a later deadline, as http.Server does
// before each request.
func TestEndingConnectionKeepsItsDeadline(t *testing.T) {
	c, _ := acceptOne(t)
	c.endsAt = time.Now().Add(-time.Second)
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ends with %v", err)
	}

	c, client := acceptOne(t)
	c.endsAt, c.arriving = time.Now().Add(-time.Second), true
	if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	send(t, client, "T")
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read %d bytes of a request under way, %v", n, err)
	}
}
