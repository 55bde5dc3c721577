package listener

import (
	"container/list"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// fixture is a server with a small limit, and its client.
type fixture struct {
	*Server

	registry *prometheus.Registry
	overTLS  bool
}

// prepare returns a server that listens, but does not accept yet.
func prepare(t *testing.T, limit int, h http.HandlerFunc) *fixture {
	t.Helper()
	registry := prometheus.NewRegistry()
	s, err := Listen(t.Context(), Config{
		Name: "public", Addr: "127.0.0.1:0", Handler: h, MaxConnections: limit, MaxHeader: 16 << 10, Logger: zerolog.Nop(), Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &fixture{Server: s, registry: registry}
}

// start returns a server that serves HTTP.
func start(t *testing.T, limit int, h http.HandlerFunc) *fixture {
	t.Helper()
	f := prepare(t, limit, h)
	go func() { _ = f.Serve() }()
	return f
}

// startTLS returns a server that serves HTTPS.
func startTLS(t *testing.T, limit int, h http.HandlerFunc) *fixture {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	f := prepare(t, limit, h)
	f.overTLS = true
	f.UseTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	go func() { _ = f.Serve() }()
	return f
}

// starter is start or startTLS.
type starter = func(t *testing.T, limit int, h http.HandlerFunc) *fixture

// overBoth runs a test over plain TCP and over TLS.
func overBoth(t *testing.T, test func(t *testing.T, start starter)) {
	t.Helper()
	t.Run("TCP", func(t *testing.T) { test(t, start) })
	t.Run("TLS", func(t *testing.T) { test(t, startTLS) })
}

// dial opens a TCP connection.
func (f *fixture) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// open opens a connection that is ready for a request, and sends text on it.
func (f *fixture) open(t *testing.T, text string) net.Conn {
	t.Helper()
	c := f.dial(t)
	if f.overTLS {
		secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = secure
	}
	send(t, c, text)
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

const (
	request  = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	statusOK = "HTTP/1.1 200"
)

// expect reads the start of an answer, and fails the test if it is not status.
func expect(t *testing.T, c net.Conn, status string) {
	t.Helper()
	got := make([]byte, len(status))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != status {
		t.Errorf("answer %q, %v, want %q", got, err, status)
	}
}

// linger sends text on a new connection, and returns once the server waits for
// this client. The server may still read or write in between.
func (f *fixture) linger(t *testing.T, text string) {
	t.Helper()
	c := f.open(t, text)
	var position *list.Element
	seen := 0
	f.eventually(t, "the server waits for the client", func() bool {
		for of := range f.connections.open {
			if of.RemoteAddr().String() != c.LocalAddr().String() {
				continue
			}
			if seen++; of.waiting == nil || of.waiting != position || !of.arriving {
				position, seen = of.waiting, 0
			}
		}
		return seen >= 20
	})
}

// eventually waits for a condition on the server's connections.
func (f *fixture) eventually(t *testing.T, condition string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
		f.connections.mu.Lock()
		now := holds()
		f.connections.mu.Unlock()
		if now {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not true in time: %s", condition)
		}
	}
}

// waitForIdle waits until n connections are open and wait for their client.
func (f *fixture) waitForIdle(t *testing.T, n int) {
	t.Helper()
	f.eventually(t, fmt.Sprintf("%d connections are open and idle", n), func() bool {
		return len(f.connections.open) == n && f.connections.waiting.Len() == n
	})
}

// drain starts a drain, and returns its result.
func (f *fixture) drain(t *testing.T, keepIdle time.Duration) <-chan bool {
	t.Helper()
	ended := make(chan bool, 1)
	go func() { ended <- f.Drain(t.Context(), keepIdle) }()
	return ended
}

func (f *fixture) waitForDrain(t *testing.T) {
	t.Helper()
	f.eventually(t, "the drain has begun", func() bool { return f.connections.draining })
}

func expectDrained(t *testing.T, ended <-chan bool) {
	t.Helper()
	if !<-ended {
		t.Error("the drain did not end every connection")
	}
}

// cut gives up a drain at once, and returns the result of Cut.
func (f *fixture) cut(t *testing.T) <-chan int {
	t.Helper()
	hurry, now := context.WithCancel(t.Context())
	now()
	if f.Drain(hurry, time.Minute) {
		t.Fatal("the drain has ended every connection")
	}
	cut := make(chan int, 1)
	go func() { cut <- f.Cut(100 * time.Millisecond) }()
	return cut
}

func expectCut(t *testing.T, cut <-chan int, want int) {
	t.Helper()
	if got := <-cut; got != want {
		t.Errorf("%d requests were cut, want %d", got, want)
	}
}

// answer is a handler with an empty answer.
func answer(http.ResponseWriter, *http.Request) {}

// answerAndClose also announces the end of the connection.
func answerAndClose(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }

// refuse answers without reading the body. net/http then reads it.
func refuse(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }

func readBody(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// writeForever answers until the client is gone.
func writeForever(w http.ResponseWriter, _ *http.Request) {
	for piece := make([]byte, 64<<10); ; {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// blocked are the requests of a blocking handler.
type blocked struct {
	begun   chan struct{} // gets an element for each request
	release chan struct{} // closed to let the handlers return
}

// blocking returns a handler that reads the body and waits for the release.
func blocking() (http.HandlerFunc, blocked) {
	b := blocked{begun: make(chan struct{}, 8), release: make(chan struct{})}
	return func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		b.begun <- struct{}{}
		<-b.release
	}, b
}
