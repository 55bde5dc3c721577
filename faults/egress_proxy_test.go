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
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// egressProxy is a proxy with a password. It resolves names by a table.
type egressProxy struct {
	url      string // with user and password
	password string

	mu       sync.Mutex
	servers  map[string]string // by host and port
	fault    proxyFault
	connects map[string]int // opened connections, by host and port
	plain    []string       // other requests
	open     map[net.Conn]bool
	accepted map[string]bool // passwords
	used     map[string]int  // answered requests, by password
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
		url:      (&url.URL{Scheme: "http", User: url.UserPassword("dropgate", password), Host: listener.Addr().String()}).String(),
		password: password, accepted: map[string]bool{password: true}, used: map[string]int{},
		servers: map[string]string{}, connects: map[string]int{}, open: map[net.Conn]bool{},
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
		case fault == proxyFault{} && !p.admits(r):
			fault.status = http.StatusProxyAuthRequired
		case fault == proxyFault{} && server == "":
			fault.status = http.StatusBadGateway
		case fault == proxyFault{} && r.Method != http.MethodConnect:
			p.plain = append(p.plain, r.RequestURI)
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
	case r.Method != http.MethodConnect:
		forward(c, r, server)
	default:
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		join(c, server)
	}
}

// admits reports whether a request has an accepted password, and counts it. The caller
// holds the lock.
func (p *egressProxy) admits(r *http.Request) bool {
	_, encoded, _ := strings.Cut(r.Header.Get("Proxy-Authorization"), "Basic ")
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	_, password, _ := strings.Cut(string(decoded), ":")
	if err != nil || !p.accepted[password] {
		return false
	}
	p.used[password]++
	return true
}

// uses returns how many requests had a password.
func (p *egressProxy) uses(password string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used[password]
}

// forward sends one request to a server, and its answer back.
func forward(c net.Conn, r *http.Request, server string) {
	r.Header.Del("Proxy-Authorization")
	r.URL = &url.URL{Scheme: "http", Host: server, Path: r.URL.Path}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	resp.Close = true
	_ = resp.Write(c)
}

// seen returns how often the proxy connected to each host and port, and the URLs of
// other requests.
func (p *egressProxy) seen() (connects map[string]int, plain []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.connects), slices.Clone(p.plain)
}
