// Package tcpproxy puts a proxy between a client and a server in a test. The proxy
// stops, resets connections, and gives them faults: delays, hanging, truncated or
// false answers.
//
// It is for tests only and never interprets a protocol. Shopify/toxiproxy would add
// a router and retired modules to go.mod. It cannot replace an answer, and its
// hanging connections recover, unlike those of a firewall that lost its state.
package tcpproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy forwards connections to one server. It is safe for concurrent use.
type Proxy struct {
	Addr string // host and port of the proxy; a stopped proxy keeps it

	tb testing.TB

	mu       sync.Mutex
	server   string
	listener net.Listener // nil while stopped
	links    []*link
	fault    Fault
	answers  int    // pieces of answers since the fault began
	lose     []byte // the answer to a request with this text is lost; nil: none
	lost     int
}

// link is one client's connection and the one to the server.
type link struct {
	client, server net.Conn // server is nil if the fault at the start was Hang

	done  chan struct{} // closed with both connections
	close func()

	mu   sync.Mutex
	lose bool // the next answer is lost
}

// New starts a proxy to the server at a host and port. It stops with the test.
func New(tb testing.TB, server string) *Proxy {
	tb.Helper()
	p := &Proxy{Addr: FreeAddr(tb), tb: tb, server: server}
	p.Start()
	tb.Cleanup(p.Stop)
	return p
}

// Before starts a proxy to the server of a URL. It returns the URL through the
// proxy as well.
func Before(tb testing.TB, serverURL string) (*Proxy, string) {
	tb.Helper()
	at, err := url.Parse(serverURL)
	if err != nil {
		tb.Fatal(err)
	}
	p := New(tb, at.Host)
	at.Host = p.Addr
	return p, at.String()
}

// FreeAddr returns an address of 127.0.0.1 for a server that restarts. Linux gives
// its port, below 32768, to no connection and no other listener meanwhile.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(10_000)) //nolint:gosec // not a secret
		listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", addr)
		if err == nil {
			_ = listener.Close()
			return addr
		}
	}
	tb.Fatal("no port is free")
	return ""
}

// Start accepts connections again after Stop. It does nothing while the proxy runs.
func (p *Proxy) Start() {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return
	}
	// The test's context ends before its cleanups run.
	listener, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(p.tb.Context()), "tcp", p.Addr)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.listener = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.forward(conn)
		}
	}()
}

// Stop resets all connections and refuses new ones, like a server that went down.
func (p *Proxy) Stop() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.Reset()
}

// Reset resets all connections and accepts new ones.
func (p *Proxy) Reset() {
	p.mu.Lock()
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		reset(l.client)
		l.close()
	}
}

// Redirect sends new connections to another server.
func (p *Proxy) Redirect(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

// Server returns where new connections go.
func (p *Proxy) Server() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

// forward serves one connection until either end is closed.
func (p *Proxy) forward(client net.Conn) {
	l := &link{client: client, done: make(chan struct{})}
	p.mu.Lock()
	server, hang := p.server, p.fault.Hang
	p.mu.Unlock()
	if !hang {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", server)
		if err != nil {
			reset(client)
			return
		}
		l.server = conn
	}
	l.close = sync.OnceFunc(func() {
		close(l.done)
		_ = l.client.Close()
		if l.server != nil {
			_ = l.server.Close()
		}
	})
	p.add(l)
	defer p.remove(l)
	if l.server == nil {
		_, _ = io.Copy(io.Discard, client) // until the client gives up
		return
	}
	go func() {
		defer l.close()
		l.pump(l.server, l.client, func(piece []byte) ([]byte, end) { return p.request(l, piece) })
	}()
	l.pump(l.client, l.server, func(piece []byte) ([]byte, end) { return p.answer(l, piece) })
}

// add registers a connection, or resets it if the proxy has stopped meanwhile.
func (p *Proxy) add(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = append(p.links, l)
	if p.listener == nil {
		reset(l.client)
		l.close()
	}
}

func (p *Proxy) remove(l *link) {
	l.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = slices.DeleteFunc(p.links, func(other *link) bool { return other == l })
}

// end says how a connection continues after a piece.
type end int

const (
	goOn   end = iota
	broken     // reset it
	hang       // keep it open and forward nothing more
)

// pump copies pieces to the other end, as changed by the present fault.
func (l *link) pump(to, from net.Conn, change func([]byte) ([]byte, end)) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			piece, after := change(buffer[:n])
			if _, err := to.Write(piece); err != nil {
				return
			}
			switch after {
			case broken:
				reset(l.client)
				return
			case hang:
				_, _ = io.Copy(io.Discard, from)
				if from == l.server {
					<-l.done // only the client's own timeout ends it
				}
				return
			case goOn:
			}
		}
		if err != nil {
			return
		}
	}
}

// contains ignores letter case, as Redis does in commands.
func contains(piece, text []byte) bool {
	return bytes.Contains(bytes.ToLower(piece), bytes.ToLower(text))
}

// reset closes a connection with RST instead of FIN.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
