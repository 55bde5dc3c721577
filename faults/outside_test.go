//go:build faults

package faults_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
)

// authority is a private certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // the certificate in PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a private authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{certificate: certificate, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// serverOf is the TLS of a server with a certificate for some hosts.
func (a *authority) serverOf(t *testing.T, hosts ...string) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: hosts, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}, MinVersion: tls.VersionTLS12}
}

// outside is a world whose https servers only the egress proxy can reach: the names end
// in .test, and only the proxy knows their addresses.
type outside struct {
	*world

	ca    *authority
	proxy *egressProxy
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{world: newWorld(t), ca: newAuthority(t)}
	o.proxy = newEgressProxy(t, o.secret("the password of HTTPS_PROXY"))
	claims := map[string]map[string]any{}
	for _, u := range o.users {
		claims[u.name] = map[string]any{"dwolla_customer": u.customer}
	}
	o.provider = oidctest.New(t, provider.Options{Issuer: "https://idp.test", Users: claims})
	for i := range o.users {
		o.users[i].bearer = o.provider.Bearer(o.users[i].name)
		o.secrets.addJWT("a bearer token", o.users[i].bearer)
	}
	for host, h := range map[string]http.Handler{
		"dwolla.test": o.dwolla, "idp.test": o.secrets.watchProvider(o.provider), "app.test": http.HandlerFunc(o.serveApplication),
	} {
		o.serveAt(t, host, h, o.ca)
	}
	o.settings["DWOLLA_BASE_URL"], o.settings["AUTH_BEARER_ISSUER"] = "https://dwolla.test", "https://idp.test"
	o.settings["HTTPS_PROXY"], o.settings["SSL_CERT_FILE"] = o.proxy.url, o.ca.file
	return o
}

// serveAt lets the proxy reach a server under a host name.
func (o *outside) serveAt(t *testing.T, host string, h http.Handler, by *authority) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.TLS, server.EnableHTTP2 = by.serverOf(t, host), true
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	o.proxy.set(func(p *egressProxy) { p.servers[host+":443"] = server.Listener.Addr().String() })
}

// caller is a user with a bearer token, or with a cookie of the application.
func (o *outside) caller(p *process, header http.Header) *caller {
	c := o.bearers(p, 1)[0]
	c.body = `{"action":"customer.read"}`
	if header != nil {
		c.header = header
	}
	return c
}

// serveTLS ends TLS in front of a server. Begin speaks before TLS, as PostgreSQL does.
func serveTLS(t *testing.T, config *tls.Config, server string, begin func(net.Conn) error) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if begin(c) == nil {
					join(tls.Server(c, config), server)
				}
			}()
		}
	}()
	_, port, _ = strings.Cut(listener.Addr().String(), ":")
	return port
}

// join copies both ways between a connection and a server.
func join(c net.Conn, server string) {
	to, err := net.Dial("tcp", server) //nolint:noctx // ends with the connection
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	go func() {
		_, _ = io.Copy(to, c)
		_ = to.Close()
	}()
	_, _ = io.Copy(c, to)
}
