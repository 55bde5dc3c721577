package app_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// gate stands between the service and a server. While it is shut the server is
// away.
type gate struct {
	server  string // host and port
	address string // of the gate itself

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

// through returns an open gate to the server of a URL, and the URL through it.
func through(t *testing.T, serverURL string) (*gate, string) {
	t.Helper()
	at, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{server: at.Host, address: "127.0.0.1:0"}
	g.open(t)
	t.Cleanup(g.shut)
	at.Host = g.address
	return g, at.String()
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", g.address)
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

func (g *gate) pass(t *testing.T, conn net.Conn) {
	server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.server)
	if err != nil {
		_ = conn.Close()
		return
	}
	g.mu.Lock()
	g.conns = append(g.conns, conn, server)
	g.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, conn)
		_ = server.Close()
	}()
	_, _ = io.Copy(conn, server)
	_ = conn.Close()
}

// shut cuts all connections and lets no new ones in.
func (g *gate) shut() {
	_ = g.listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range g.conns {
		_ = conn.Close()
	}
	g.conns = nil
}
