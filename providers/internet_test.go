package providers_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// authority signs the certificates of the providers' hosts. Go reads SSL_CERT_FILE
// once in a process, so all tests share it.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

var internetAuthority authority // TestMain sets it before any test

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "providers")
	if err != nil {
		panic(err)
	}
	internetAuthority = newAuthority(folder)
	if err := os.Setenv("SSL_CERT_FILE", internetAuthority.file); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

func newAuthority(folder string) authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "providers"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	a := authority{must(x509.ParseCertificate(der)), key, filepath.Join(folder, "ca.pem")}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		panic(err)
	}
	return a
}

// certify returns a certificate for the host that a client names.
func (a authority) certify(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{hello.ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("certifying %s: %w", hello.ServerName, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// internet answers for every host, behind a proxy. It knows pages by URL, without
// their query.
type internet struct {
	proxy string // for HTTPS_PROXY

	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	asked []string // URLs with their queries
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	i := &internet{pages: map[string]http.HandlerFunc{}}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i.proxy = "http://" + listener.Addr().String()
	tunnels := &tunnels{Listener: listener, connections: make(chan net.Conn), done: make(chan struct{})}
	proxy := &http.Server{Handler: tunnels, ReadHeaderTimeout: time.Minute}
	hosts := &http.Server{Handler: i, ReadHeaderTimeout: time.Minute}
	go func() { _ = proxy.Serve(listener) }()
	go func() {
		_ = hosts.Serve(tls.NewListener(tunnels, &tls.Config{GetCertificate: internetAuthority.certify, MinVersion: tls.VersionTLS12}))
	}()
	t.Cleanup(func() {
		_ = proxy.Close()
		close(tunnels.done)
		_ = hosts.Close()
	})
	return i
}

// serve publishes a document, or a page of any kind.
func (i *internet) serve(url string, page any) {
	handler, ok := page.(http.HandlerFunc)
	if !ok {
		body := must(json.Marshal(page))
		handler = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pages[url] = handler
}

func (i *internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	url := "https://" + r.Host + r.URL.Path
	i.mu.Lock()
	page, known := i.pages[url]
	i.asked = append(i.asked, "https://"+r.Host+r.URL.RequestURI())
	i.mu.Unlock()
	if !known {
		page = http.NotFound
	}
	page(w, r)
}

// tunnels is a proxy that hands the other end of each tunnel to a server.
type tunnels struct {
	net.Listener

	connections chan net.Conn
	done        chan struct{}
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := connection.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		_ = connection.Close()
		return
	}
	select {
	case p.connections <- tunnel{connection, buffered.Reader}:
	case <-p.done:
		_ = connection.Close()
	}
}

// Accept implements net.Listener for the hosts' server.
func (p *tunnels) Accept() (net.Conn, error) {
	select {
	case connection := <-p.connections:
		return connection, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The proxy's server closes the listener itself.
func (p *tunnels) Close() error { return nil }

// tunnel reads first what the proxy has read already.
type tunnel struct {
	net.Conn

	buffered *bufio.Reader
}

func (t tunnel) Read(p []byte) (int, error) { return t.buffered.Read(p) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
