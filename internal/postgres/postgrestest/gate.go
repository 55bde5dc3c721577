package postgrestest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Gate forwards connections to a server. While it is shut, the server is
// unreachable.
type Gate struct {
	server  string // host and port
	address string // of the gate itself

	mutex    sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

// NewGate returns an open gate to the server that serverURL names.
func NewGate(t *testing.T, serverURL string) *Gate {
	t.Helper()
	parsed, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{server: parsed.Host, address: "127.0.0.1:0"}
	g.Open(t)
	t.Cleanup(g.Shut)
	return g
}

// URL is serverURL through the gate.
func (g *Gate) URL(t *testing.T, serverURL string) string {
	t.Helper()
	parsed, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Host = g.address
	return parsed.String()
}

// Open accepts connections again.
func (g *Gate) Open(t *testing.T) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.listener, g.address = listener, listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(t, conn)
		}
	}()
}

func (g *Gate) pass(t *testing.T, conn net.Conn) {
	var dialer net.Dialer
	server, err := dialer.DialContext(t.Context(), "tcp", g.server)
	if err != nil {
		_ = conn.Close()
		return
	}
	g.mutex.Lock()
	g.conns = append(g.conns, conn, server)
	g.mutex.Unlock()
	go func() {
		_, _ = io.Copy(server, conn)
		_ = server.Close()
	}()
	_, _ = io.Copy(conn, server)
	_ = conn.Close()
}

// Shut closes all connections and accepts no new ones.
func (g *Gate) Shut() {
	_ = g.listener.Close()
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for _, conn := range g.conns {
		_ = conn.Close()
	}
	g.conns = nil
}
