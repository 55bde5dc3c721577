//go:build faults

package faults_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// pairOf returns the files of a server's certificate and key, in PEM.
func (a *authority) pairOf(t *testing.T, hosts ...string) (cert, key string) {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	der := a.serverOf(t, hosts...).Certificates[0].Certificate[0]
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// TestCertificatesRotateUnderLoadWithoutAFailure renews the certificate of two replicas,
// first by halves. Some clients open a connection for each request.
func TestCertificatesRotateUnderLoadWithoutAFailure(t *testing.T) {
	t.Parallel()
	w, ca := newWorld(t), newAuthority(t)
	settings := map[string]string{}
	r := newRotation(t, w, settings, nil)
	put := func(cert, key string) {
		t.Helper()
		r.volume.files["tls.key"] = key
		r.volume.put(t, "tls.crt", cert)
	}
	put(ca.pairOf(t, "localhost", "renewal-0.test"))
	settings["TLS_CERT_FILE"], settings["TLS_KEY_FILE"] = r.volume.path("tls.crt"), r.volume.path("tls.key")
	r.replicas = []*process{w.start(t, settings), w.start(t, settings)}
	trusted := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	trusted.RootCAs.AddCert(ca.certificate)
	for i, p := range r.replicas {
		bearer := http.Header{"Authorization": {"Bearer " + w.users[i].bearer}}
		request := func() (*http.Request, error) {
			made, err := post(p.public, "/client-tokens", `{"action":"customer.read"}`, bearer.Clone())
			if err == nil {
				made.URL.Scheme = "https"
			}
			return made, err
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusted.Clone()}, Timeout: 20 * time.Second}
		waitFor(t, "a first token", 20*time.Second, func() bool {
			made, err := request()
			if err != nil {
				return false
			}
			resp, err := client.Do(made)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err == nil && resp.StatusCode == http.StatusOK
		})
		for range 3 {
			r.load.sendBy(&http.Transport{TLSClientConfig: trusted.Clone(), DisableKeepAlives: true}, "a vend on a new connection", 20*time.Millisecond, request)
		}
		r.load.sendBy(&http.Transport{TLSClientConfig: trusted.Clone()}, "a vend on a kept connection", 20*time.Millisecond, request)
	}
	for n := 1; n <= 2; n++ {
		name := fmt.Sprintf("renewal-%d.test", n)
		cert, key := ca.pairOf(t, "localhost", name)
		_, otherKey := newAuthority(t).pairOf(t, "localhost")
		put(cert, otherKey) // does not match
		waitFor(t, "both replicas refuse the half", 20*time.Second, func() bool { return r.logged("the renewed certificate cannot be used") >= n })
		put(cert, key)
		waitFor(t, "both replicas serve "+name, 20*time.Second, func() bool {
			return !slices.ContainsFunc(r.replicas, func(p *process) bool { return !serves(t, p, trusted, name) })
		})
	}
	r.finish(t)
}

// logged returns how often each replica has logged a text, at least.
func (r *rotation) logged(text string) int {
	least := -1
	for _, p := range r.replicas {
		if n := strings.Count(p.stdout.String(), text); least < 0 || n < least {
			least = n
		}
	}
	return least
}

// serves reports whether a replica has a certificate with this name.
func serves(t *testing.T, p *process, trusted *tls.Config, name string) bool {
	t.Helper()
	c, err := (&tls.Dialer{Config: trusted}).DialContext(t.Context(), "tcp", p.public)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	secure, ok := c.(*tls.Conn)
	return ok && slices.Contains(secure.ConnectionState().PeerCertificates[0].DNSNames, name)
}
