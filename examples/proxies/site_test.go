//go:build proxies

package proxies_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/app"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

const (
	host          = "app.example.com" // in every configuration
	aliceCustomer = "11111111-1111-4111-8111-111111111111"
)

// site is a proxy with the service and an application behind it.
type site struct {
	url      string // as a browser writes the origin
	addr     string // of the proxy
	roots    *x509.CertPool
	log      *logs
	provider *oidctest.Provider
}

func newSite(t *testing.T, p proxy) *site {
	t.Helper()
	addr := unusedAddr(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{url: "https://" + host + ":" + port, addr: addr, roots: x509.NewCertPool(), log: &logs{}}
	certificate, key := newCertificate(t)
	s.roots.AppendCertsFromPEM(certificate)
	upstream := httptest.NewServer(http.HandlerFunc(application))
	t.Cleanup(upstream.Close)
	service := s.startService(t)
	p.start(t, setting{
		addr:        addr,
		dropgate:    service,
		application: upstream.Listener.Addr().String(),
		certificate: certificate,
		key:         key,
	})
	s.waitForProxy(t)
	return s
}

// startService starts the real service, and returns its address.
func (s *site) startService(t *testing.T) string {
	t.Helper()
	dwolla := dwollatest.New(t, emulator.Options{})
	dwolla.Customer(emulator.Customer{ID: aliceCustomer})
	s.provider = oidctest.New(t, provider.Options{
		Users: map[string]map[string]any{"alice": {"dwolla_customer": aliceCustomer}},
	})
	s.provider.AddClient(oidctest.Client(s.url + "/dropgate"))
	config, err := app.Load([]string{
		"DWOLLA_ENVIRONMENT=sandbox",
		"DWOLLA_BASE_URL=" + dwolla.URL,
		"DWOLLA_CLIENT_ID=" + dwollatest.ClientID,
		"DWOLLA_CLIENT_SECRET=" + dwollatest.ClientSecret,
		"ALLOWED_ACTIONS=customer.read",
		"CUSTOMER_SOURCE=claim",
		"AUTH_MODES=oidc",
		"AUTH_OIDC_ISSUER=" + s.provider.Issuer,
		"AUTH_OIDC_CLIENT_ID=" + oidctest.ClientID,
		"AUTH_OIDC_CLIENT_SECRET=" + oidctest.ClientSecret,
		"SESSION_STORE=memory",
		"PUBLIC_URL=" + s.url,
		"BASE_PATH=/dropgate",
		"TRUSTED_PROXIES=127.0.0.1",
		"HTTP_ADDR=127.0.0.1:0",
		"ADMIN_ADDR=127.0.0.1:0",
		"SHUTDOWN_DELAY=0s",
	})
	if err != nil {
		t.Fatal(err)
	}
	service, err := app.Open(t.Context(), config, app.Build{Version: "test"}, s.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, context.WithoutCancel(ctx)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return service.PublicAddr()
}

// waitForProxy waits until the proxy answers for the service.
func (s *site) waitForProxy(t *testing.T) {
	t.Helper()
	b := s.newBrowser(t)
	for deadline := time.Now().Add(30 * time.Second); ; {
		resp, err := b.Do(s.request(t, http.MethodGet, "/dropgate/session", nil))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the proxy does not answer: %v %v", resp, err)
		}
	}
}

func (s *site) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Del("Sec-Fetch-Site") // the service then compares Origin with Host
		r.Header.Set("Origin", s.url)
	}
	return r
}

// accessLine returns the service's line about a request.
func (s *site) accessLine(t *testing.T, requestID string) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		for line := range strings.Lines(s.log.String()) {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil && fields["log"] == "access" && fields["request_id"] == requestID {
				return fields
			}
		}
	}
	t.Fatalf("the log has no access line for request %q", requestID)
	return nil
}

// browser is a client with cookies, at another address than the proxy's.
type browser struct {
	*http.Client

	cookies map[string]string // the Set-Cookie headers by name
}

func (s *site) newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{cookies: map[string]string{}}
	b.Client = &http.Client{Jar: jar, Transport: recorder{s.transport(t), b.cookies}, Timeout: 20 * time.Second}
	return b
}

// overHTTP1 returns a browser with the same cookies that knows no HTTP/2.
func (b *browser) overHTTP1(t *testing.T, s *site) *browser {
	t.Helper()
	transport := s.transport(t)
	transport.ForceAttemptHTTP2 = false
	client := *b.Client
	client.Transport = transport
	return &browser{Client: &client}
}

// transport connects to the proxy for the site's host.
func (s *site) transport(t *testing.T) *http.Transport {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(browserAddress)}}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.roots},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, host+":") {
				addr = s.addr
			}
			return dialer.DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// recorder keeps the Set-Cookie headers, whose attributes a jar hides.
type recorder struct {
	http.RoundTripper

	cookies map[string]string
}

func (r recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(request)
	if err == nil {
		for _, cookie := range resp.Cookies() {
			r.cookies[cookie.Name] = cookie.Raw
		}
	}
	return resp, err
}

func (s *site) signIn(t *testing.T) *browser {
	t.Helper()
	b := s.newBrowser(t)
	resp := s.provider.SignIn(b.Client, s.url+"/dropgate/auth/login?return_to=/dropgate/session", "alice")
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the sign-in ends with %s at %s", resp.Status, resp.Request.URL)
	}
	return b
}

type answer struct {
	protocol string
	status   int
	header   http.Header
	body     string
}

func (b *browser) send(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.Proto, resp.StatusCode, resp.Header, string(body)}
}

// code returns the code of an error.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var problem struct{ Code string }
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		t.Errorf("%q is not an error of dropgate", a.body)
	}
	return problem.Code
}

func unusedAddr(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// newCertificate returns a self-signed certificate for the host, and its key, as PEM.
func newCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func writeFile(t *testing.T, folder, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// logs collects the log of the service.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
