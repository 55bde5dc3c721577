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

// proxy stands between a server and one thing that it depends on, and spoils
// the connections of all that go through it. It is our own and not
// github.com/Shopify/toxiproxy: as a library that brings a router, a logger's id
// and three retired modules into the go.mod that is the server's, too, it cannot
// put garbage in the place of an answer, and its half-open connections come back
// to life when the fault ends, which those of a lost firewall state never do.
type proxy struct {
	address string // of the proxy itself: host and port
	server  string // of what stands behind it

	mu       sync.Mutex
	listener net.Listener // nil while shut
	links    []*link
	fault    fault
	pieces   int // of answers, while there was a fault
}

// fault is what a proxy does to the connections through it. The zero value is
// none.
type fault struct {
	latency time.Duration // before each piece of an answer
	mute    bool          // half-open: everything is taken in, and nothing comes back, ever
	missing int           // resets the connection when all but that many bytes of an answer have passed
	garbage string        // in the place of an answer
	every   int           // strikes every so many pieces of answers; zero: all
}

// link is one connection through the proxy, which has two.
type link struct {
	client, server net.Conn // server is nil in one that began mute

	done  chan struct{} // closed when both ends are
	close func()
}

// newProxy opens a proxy to the server at an address, which may be set later.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{address: ownAddress(t), server: server}
	p.open(t)
	t.Cleanup(p.shut)
	return p
}

// ownAddress is one for a server that goes away and comes back: nobody else gets its
// port meanwhile, since it is below those that Linux hands out by itself, to listeners
// and to the other ends of connections.
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

// open lets connections in.
func (p *proxy) open(t *testing.T) {
	t.Helper()
	// Not the test's context, which ends before the cleanups do.
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

// shut resets all connections and refuses new ones, as a server does that has
// stopped.
func (p *proxy) shut() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.cut()
}

// cut resets all connections, and lets new ones in.
func (p *proxy) cut() {
	p.mu.Lock()
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		reset(l.client)
		l.close()
	}
}

// spoil begins a fault, of connections that there are and of new ones.
func (p *proxy) spoil(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// leads has new connections go to another server.
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

// mend ends the fault. What was struck by it stays so.
func (p *proxy) mend() { p.spoil(fault{}) }

func (p *proxy) now() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

// onRequest is the fault for the next piece of a request: one that strikes some
// answers only does not strike it.
func (p *proxy) onRequest() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.every > 0 {
		return fault{}
	}
	return p.fault
}

// onAnswer is the fault for the next piece of an answer.
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

// pass serves one connection until an end of it is closed.
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

// keep remembers a connection, unless the proxy has been shut meanwhile.
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

// pump carries what is read at from to the other end. What the fault of the
// moment makes of a piece goes there, and if it says so nothing after that.
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
					<-l.done // the client hears of nothing but by its own clock
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

// end is how a connection goes on after a piece.
type end int

const (
	goesOn   end = iota
	resets       // it is no more
	swallows     // it looks alive
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

// reset closes a connection with a RST instead of a FIN.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
