//go:build faults

package faults_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// proxy stands between a server and one dependency, and injects faults into their
// connections.
//
// github.com/Shopify/toxiproxy would add its dependencies to the server's go.mod. It
// cannot replace an answer with garbage. Its half-open connections recover after the
// fault; after a lost firewall state they never do.
type proxy struct {
	address string // the proxy's own host and port
	server  string // the dependency's host and port

	mu       sync.Mutex
	listener net.Listener // nil while shut
	links    []*link
	fault    fault
	pieces   int // of answers during the fault
}

// fault is the proxy's effect on its connections. The zero value has none.
type fault struct {
	latency time.Duration // before each piece of an answer
	mute    bool          // half-open: accepts everything, never answers
	missing int           // resets the connection before the last bytes of an answer, as many as this
	garbage string        // replaces an answer
	every   int           // affects every nth piece of answers; zero: all
}

// link is one connection through the proxy, with both ends.
type link struct {
	client, server net.Conn // server is nil if the connection began mute

	done  chan struct{} // closed when both ends are
	close func()
}

// newProxy opens a proxy to a server. Its address may be set later.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{address: ownAddress(t), server: server}
	p.open(t)
	t.Cleanup(p.shut)
	return p
}

// ownAddress returns an address for a server that stops and returns. Its port is below
// Linux's ephemeral range, so other sockets do not take it meanwhile.
func ownAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.N(10_000)
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = listener.Close()
			return listener.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// open accepts connections.
func (p *proxy) open(t *testing.T) {
	t.Helper()
	// The test's context ends before the cleanups do.
	listener, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.address = listener, listener.Addr().String()
	p.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.pass(conn)
		}
	}()
}

// shut resets all connections and refuses new ones, like a stopped server.
func (p *proxy) shut() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.cut()
}

// cut resets all connections, but accepts new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		reset(l.client)
		l.close()
	}
}

// spoil begins a fault for present and new connections.
func (p *proxy) spoil(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// leads sends new connections to another server.
func (p *proxy) leads(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

func (p *proxy) to() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

// mend ends the fault. Connections already affected stay so.
func (p *proxy) mend() { p.spoil(fault{}) }

func (p *proxy) now() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

// onRequest returns the fault for the next piece of a request. A fault with every set
// never affects requests.
func (p *proxy) onRequest() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.every > 0 {
		return fault{}
	}
	return p.fault
}

// onAnswer returns the fault for the next piece of an answer.
func (p *proxy) onAnswer() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.every == 0 {
		return p.fault
	}
	if p.pieces++; p.pieces%p.fault.every != 0 {
		return fault{}
	}
	return p.fault
}

// pass serves one connection until either end closes.
func (p *proxy) pass(client net.Conn) {
	l := &link{client: client, done: make(chan struct{})}
	if !p.now().mute {
		server, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", p.to())
		if err != nil {
			reset(client)
			return
		}
		l.server = server
	}
	l.close = sync.OnceFunc(func() {
		close(l.done)
		_ = l.client.Close()
		if l.server != nil {
			_ = l.server.Close()
		}
	})
	p.keep(l)
	defer p.forget(l)
	if l.server == nil {
		_, _ = io.Copy(io.Discard, client) // until the client gives up
		return
	}
	go func() {
		defer l.close()
		p.pump(l, l.server, l.client, func(piece []byte) ([]byte, end) { return p.onRequest().ofRequest(piece) })
	}()
	p.pump(l, l.client, l.server, func(piece []byte) ([]byte, end) { return p.onAnswer().ofAnswer(l, piece) })
}

// keep records a connection, or resets it if the proxy is shut.
func (p *proxy) keep(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = append(p.links, l)
	if p.listener == nil {
		reset(l.client)
		l.close()
	}
}

func (p *proxy) forget(l *link) {
	l.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = slices.DeleteFunc(p.links, func(other *link) bool { return other == l })
}

// pump copies from one end to the other. The function of applies the fault to each
// piece.
func (*proxy) pump(l *link, to, from net.Conn, of func([]byte) ([]byte, end)) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			piece, ends := of(buffer[:n])
			if _, err := to.Write(piece); err != nil {
				return
			}
			switch ends {
			case resets:
				reset(l.client)
				return
			case swallows:
				_, _ = io.Copy(io.Discard, from)
				if from == l.server {
					<-l.done // the client has to time out by itself
				}
				return
			case goesOn:
			}
		}
		if err != nil {
			return
		}
	}
}

// end says how a connection continues after a piece.
type end int

const (
	goesOn   end = iota
	resets       // the connection is gone
	swallows     // the connection looks alive
)

func (f fault) ofRequest(piece []byte) ([]byte, end) {
	if f.mute {
		return nil, swallows
	}
	return piece, goesOn
}

func (f fault) ofAnswer(l *link, piece []byte) ([]byte, end) {
	if f.latency > 0 {
		late := time.NewTimer(f.latency)
		defer late.Stop()
		select {
		case <-late.C:
		case <-l.done:
		}
	}
	switch {
	case f.mute:
		return nil, swallows
	case f.missing > 0:
		return piece[:max(0, len(piece)-f.missing)], resets
	case f.garbage != "":
		return []byte(f.garbage), goesOn
	}
	return piece, goesOn
}

// reset closes a connection with RST instead of FIN.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
