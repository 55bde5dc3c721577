//go:build faults

package faults_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
)

// egressProxy is a proxy for CONNECT with a password. It resolves names by a table.
type egressProxy struct {
	url           string // with user and password
	authorization string

	mu       sync.Mutex
	servers  map[string]string // by host and port
	fault    proxyFault
	connects map[string]int // opened connections, by host and port
	others   []string       // requests other than CONNECT
	open     map[net.Conn]bool
}

// proxyFault is the proxy's behavior for new connections. Zero means none.
type proxyFault struct {
	status      int
	reset, hang bool
}

func newEgressProxy(t *testing.T, password string) *egressProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	p := &egressProxy{
		url:           "http://dropgate:" + password + "@" + listener.Addr().String(),
		authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte("dropgate:"+password)),
		servers:       map[string]string{}, connects: map[string]int{}, open: map[net.Conn]bool{},
	}
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
	})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			p.set(func(p *egressProxy) { p.open[c] = true })
			go p.serve(c)
		}
	}()
	return p
}

// set changes the proxy.
func (p *egressProxy) set(change func(*egressProxy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// fail begins a fault: it cuts every connection. The zero fault ends it.
func (p *egressProxy) fail(f proxyFault) {
	p.set(func(p *egressProxy) { p.fault = f })
	p.cut()
}

// cut resets every connection.
func (p *egressProxy) cut() {
	p.set(func(p *egressProxy) {
		for c := range p.open {
			_ = c.Close()
		}
		p.open = map[net.Conn]bool{}
	})
}

func (p *egressProxy) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	var server string
	var fault proxyFault
	p.set(func(p *egressProxy) {
		fault, server = p.fault, p.servers[r.Host]
		switch {
		case r.Method != http.MethodConnect:
			p.others = append(p.others, r.Method+" "+r.RequestURI)
			fault.status = http.StatusMethodNotAllowed
		case fault == proxyFault{} && r.Header.Get("Proxy-Authorization") != p.authorization:
			fault.status = http.StatusProxyAuthRequired
		case fault == proxyFault{} && server == "":
			fault.status = http.StatusBadGateway
		case fault == proxyFault{}:
			p.connects[r.Host]++
		}
	})
	switch {
	case fault.hang:
		_, _ = io.Copy(io.Discard, c) // until the client, or the test, gives up
	case fault.reset:
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	case fault.status != 0:
		_, _ = fmt.Fprintf(c, "HTTP/1.1 %d A text of the proxy\r\nContent-Length: 0\r\n\r\n", fault.status)
	default:
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		join(c, server)
	}
}

// seen returns how often the proxy connected to each host and port, and other requests.
func (p *egressProxy) seen() (connects map[string]int, others []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.connects), p.others
}
