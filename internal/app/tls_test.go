package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// issued is a certificate for 127.0.0.1 and its key, in PEM.
type issued struct {
	cert, key []byte
	parsed    *x509.Certificate
}

// issue makes a certificate with a lifetime.
func issue(t *testing.T, name string, ends time.Duration) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(ends),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, _ := x509.ParseCertificate(der)
	return issued{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), parsed: parsed,
	}
}

// pairIn writes a pair into a folder, and returns the names of its files.
func (i issued) pairIn(t *testing.T, folder string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	for file, content := range map[string][]byte{cert: i.cert, key: i.key} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// trusting returns a client that trusts only these certificates.
func trusting(all ...issued) *http.Client {
	pool := x509.NewCertPool()
	for _, i := range all {
		pool.AddCert(i.parsed)
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true},
		Timeout:   10 * time.Second,
	}
}

// served returns the name in the certificate of addr.
func served(t *testing.T, addr string) string {
	t.Helper()
	c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = c.Close() }()
	secure, _ := c.(*tls.Conn)
	return secure.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// encrypted starts a service with TLS on both listeners.
func encrypted(t *testing.T, changes map[string]string) (*service, issued) {
	t.Helper()
	i := issue(t, "first", time.Hour)
	cert, key := i.pairIn(t, t.TempDir())
	settings := map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "ADMIN_TLS_CERT_FILE": cert, "ADMIN_TLS_KEY_FILE": key}
	maps.Copy(settings, changes)
	return newFixture(t).start(t, settings), i
}

// secured is an answer over TLS.
type secured struct {
	status  int
	proto   string
	version uint16 // of TLS
	ends    bool   // the connection
}

// get makes a request, and reads all of the answer.
func get(ctx context.Context, client *http.Client, url, token string) (secured, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(readCustomer))
	if err != nil {
		return secured{}, err
	}
	if token == "" {
		r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	} else {
		r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
	}
	resp, err := client.Do(r)
	if err != nil {
		return secured{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return secured{resp.StatusCode, resp.Proto, resp.TLS.Version, resp.Close}, err
}

func TestBothListenersServeTLS(t *testing.T) {
	s, i := encrypted(t, nil)
	client := trusting(i)
	defer client.CloseIdleConnections()
	token, err := s.fixture.provider.TokenFor("alice")
	if err != nil {
		t.Fatal(err)
	}
	for url, token := range map[string]string{"https://" + s.PublicAddr() + "/client-tokens": token, "https://" + s.AdminAddr() + "/livez": "", "https://" + s.AdminAddr() + "/metrics": ""} {
		got, err := get(t.Context(), client, url, token)
		if err != nil || got != (secured{http.StatusOK, "HTTP/1.1", tls.VersionTLS13, false}) {
			t.Errorf("%s: %+v %v", url, got, err)
		}
	}
	for _, addr := range []string{s.PublicAddr(), s.AdminAddr()} {
		if got := speak(t, addr, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("plain HTTP at %s: %s", addr, got)
		}
		old := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
		if _, err := old.DialContext(t.Context(), "tcp", addr); err == nil {
			t.Errorf("%s speaks TLS 1.1", addr)
		}
	}
}

func TestUnusableCertificateIsAFault(t *testing.T) {
	good, other := issue(t, "good", time.Hour), issue(t, "other", time.Hour)
	folder := t.TempDir()
	cert, key := good.pairIn(t, folder)
	_, otherKey := other.pairIn(t, t.TempDir())
	empty, none := writeFile(t, ""), filepath.Join(folder, "none")
	for prefix := range map[string]bool{"": true, "ADMIN_": true} {
		for want, files := range map[string][2]string{
			"":                                {cert, key},
			"TLS_KEY_FILE: is required with":  {cert, ""},
			"TLS_CERT_FILE: is required with": {"", key},
			"TLS_CERT_FILE: open " + none:     {none, key},
			"TLS_KEY_FILE: open " + none:      {cert, none},
			"TLS_KEY_FILE: " + cert + " and " + otherKey + ": tls: private key does not match": {cert, otherKey},
			"TLS_CERT_FILE: " + empty:                 {empty, key},
			"TLS_KEY_FILE: " + cert + " and " + empty: {cert, empty},
			"TLS_CERT_FILE: " + key:                   {key, cert},
			"TLS_KEY_FILE: " + cert + " and " + cert:  {cert, cert},
			"TLS_CERT_FILE: read " + folder:           {folder, key},
		} {
			faults := faultsOf(t, map[string]string{prefix + "TLS_CERT_FILE": files[0], prefix + "TLS_KEY_FILE": files[1]})
			if want == "" && faults != nil || want != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0], prefix+want)) {
				t.Errorf("%q: %q, want %s", files, faults, want)
			}
			if strings.Contains(strings.Join(faults, ""), "PRIVATE KEY-----") {
				t.Errorf("%q: a key is quoted: %q", files, faults)
			}
		}
	}
}

// TestExpiredCertificateIsAWarning: clients decide, and probes do not look.
func TestExpiredCertificateIsAWarning(t *testing.T) {
	cert, key := issue(t, "late", -time.Hour).pairIn(t, t.TempDir())
	s := newFixture(t).start(t, map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key})
	if got := served(t, s.PublicAddr()); got != "late" {
		t.Error(got)
	}
	until(t, "the warning", func() bool { return strings.Contains(s.logs.String(), "the certificate is not valid now") })
}

// shake opens a connection and shakes hands.
func shake(t *testing.T, addr string, i issued) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(i.parsed)
	c, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
}

// askUntilMovedOn asks for tokens on one connection until the service wants it to
// go elsewhere. It says so on warm when it has asked a few times.
func (s *service) askUntilMovedOn(t *testing.T, i issued, token string, warm chan<- struct{}) {
	t.Helper()
	client := trusting(i)
	defer client.CloseIdleConnections()
	for asked := 0; ; asked++ {
		got, err := get(context.WithoutCancel(t.Context()), client, "https://"+s.PublicAddr()+"/client-tokens", token)
		if asked == 3 {
			warm <- struct{}{}
		}
		if err != nil || got.status != http.StatusOK {
			t.Errorf("request %d: %+v %v", asked, got, err)
			return
		}
		if got.ends {
			return
		}
	}
}

// TestDrainOverTLSFailsNoRequest drains under load. Clients with kept connections
// lose no request, and silent connections do not delay the end.
func TestDrainOverTLSFailsNoRequest(t *testing.T) {
	s, i := encrypted(t, map[string]string{"SHUTDOWN_DELAY": "300ms"})
	token, err := s.fixture.provider.TokenFor("alice")
	if err != nil {
		t.Fatal(err)
	}
	mute, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.PublicAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	_, _ = mute.Write([]byte{22, 3, 1}) // the beginning of a handshake
	shake(t, s.PublicAddr(), i)

	const n = 20
	var clients sync.WaitGroup
	warm := make(chan struct{}, n)
	for range n {
		clients.Go(func() { s.askUntilMovedOn(t, i, token, warm) })
	}
	for range n {
		<-warm
	}
	s.stop()
	clients.Wait()
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v\n%s", err, s.logs)
	}
	until(t, "the last line", func() bool { return strings.Contains(s.logs.String(), `"requests_cut":0`) })
}

// TestCutDoesNotCountHandshakes: a connection without a request has no answer to
// lose.
func TestCutDoesNotCountHandshakes(t *testing.T) {
	s, i := encrypted(t, nil)
	for range 3 {
		shake(t, s.PublicAddr(), i)
	}
	s.stop()
	s.hurry()
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v\n%s", err, s.logs)
	}
}
