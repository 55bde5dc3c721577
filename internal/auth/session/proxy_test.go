package session_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// proxy stands before a server, and cuts a connection when it is told to.
type proxy struct {
	net.Listener

	server atomic.Pointer[string]
	armed  atomic.Bool // the next answer to a script is not to arrive
	cuts   atomic.Int32
}

// listen opens a port.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{Listener: listen(t)}
	p.server.Store(&server)
	go func() {
		for {
			client, err := p.Accept()
			if err != nil {
				return
			}
			go p.serve(context.WithoutCancel(t.Context()), client)
		}
	}()
	return p
}

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	server, err := new(net.Dialer).DialContext(ctx, "tcp", *p.server.Load())
	if err != nil {
		_ = client.Close()
		return
	}
	var cut atomic.Bool
	go func() {
		p.answer(client, server, &cut)
		_ = client.Close()
		_ = server.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if bytes.Contains(bytes.ToLower(buffer[:n]), []byte("evalsha")) && p.armed.CompareAndSwap(true, false) {
			cut.Store(true)
		}
		if _, failed := server.Write(buffer[:n]); err != nil || failed != nil {
			_ = server.Close()
			return
		}
	}
}

// answer passes answers on until one is to be lost: the server has done its
// work by then.
func (p *proxy) answer(client io.Writer, server io.Reader, cut *atomic.Bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if cut.Load() {
			p.cuts.Add(1)
			return
		}
		if _, failed := client.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}
