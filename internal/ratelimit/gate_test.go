package ratelimit_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// gate is a way to a server that can be shut.
type gate struct {
	to string

	mu       sync.Mutex
	at       string
	listener net.Listener
	conns    []net.Conn
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	g := &gate{to: to, at: "127.0.0.1:0"}
	g.open(t)
	t.Cleanup(g.shut)
	return g
}

func (g *gate) addr() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", g.addr())
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener, g.at = listener, listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", g.to) //nolint:noctx // it ends with the gate
			if err != nil {
				_ = conn.Close()
				continue
			}
			g.mu.Lock()
			g.conns = append(g.conns, conn, server)
			g.mu.Unlock()
			go func() { _, _ = io.Copy(server, conn) }()
			go func() { _, _ = io.Copy(conn, server) }()
		}
	}()
}

// shut refuses new connections and cuts those that are there.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.listener.Close()
	for _, conn := range g.conns {
		_ = conn.Close()
	}
	g.conns = nil
}

// safeBuffer is what several goroutines may write to.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
