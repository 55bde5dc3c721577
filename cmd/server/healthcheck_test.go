package main_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// freePort returns a port that was free a moment ago: the health check needs a fixed
// one.
func freePort(t *testing.T) string {
	t.Helper()
	opened, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	_, port, err := net.SplitHostPort(opened.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// expiredPair writes a certificate for a foreign name, which has expired, and its key.
func expiredPair(t *testing.T) (cert, key string) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"dropgate.example"}, NotAfter: time.Now().Add(-time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	cert, key = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// healthcheck runs the binary as Docker does: in the environment of the server. It
// returns the exit code and the output.
func healthcheck(t *testing.T, binary string, environ ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	check := exec.CommandContext(ctx, binary, "-healthcheck")
	check.Env = environ
	out, err := check.CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		return failed.ExitCode(), string(out)
	}
	return 0, string(out)
}

func TestHealthcheckFindsAReadyServerWhereverItListens(t *testing.T) {
	binary := buildServer(t)
	cert, key := expiredPair(t)
	for name, c := range map[string]struct {
		addr  string
		extra []string
	}{
		"no host":                    {":PORT", nil},
		"every address of IPv4":      {"0.0.0.0:PORT", nil},
		"every address":              {"[::]:PORT", nil},
		"loopback":                   {"127.0.0.1:PORT", nil},
		"a name":                     {"localhost:PORT", nil},
		"white space and BOM":        {"\ufeff  127.0.0.1:PORT \n", nil},
		"ADMIN_HOSTS names another":  {":PORT", []string{"ADMIN_HOSTS=dropgate.internal"}},
		"an expired foreign pair":    {":PORT", []string{"ADMIN_TLS_CERT_FILE=" + cert, "ADMIN_TLS_KEY_FILE=" + key}},
		"a proxy in the environment": {":PORT", []string{"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := append([]string{"ADMIN_ADDR=" + strings.ReplaceAll(c.addr, "PORT", freePort(t))}, c.extra...)
			g := runServer(t, binary, environ...)
			if code, out := healthcheckUntil(t, g, 0); code != 0 || !strings.HasPrefix(out, "ready") || strings.Count(out, "\n") != 1 {
				t.Errorf("exit code %d and %q, want 0 and one line", code, out)
			}
		})
	}
}

// TestHealthcheckAsksForReadiness: the provider never answers, so that the server
// lives and is not ready.
func TestHealthcheckAsksForReadiness(t *testing.T) {
	g := runServer(t, buildServer(t), "ADMIN_ADDR=127.0.0.1:"+freePort(t), "AUTH_BEARER_JWKS_URL=http://127.0.0.1:1")
	code, out := healthcheckUntil(t, g, 1)
	if code != 1 || !strings.HasPrefix(out, "not ready: identity provider keys: ") || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d and %q", code, out)
	}
}

func TestHealthcheckFailsWithOneLineAndInTime(t *testing.T) {
	binary := buildServer(t)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for name, c := range map[string]struct {
		addr, says string
		code       int
	}{
		"nobody listens":       {"127.0.0.1:" + freePort(t), "connection refused", 1},
		"another program":      {strings.TrimPrefix(other.URL, "http://"), "is another program at ADMIN_ADDR?", 1},
		"it hangs":             {silent.Addr().String(), "no answer within 3s", 1},
		"no port":              {"127.0.0.1", "ADMIN_ADDR: is not HOST:PORT", 2},
		"a chosen port":        {"127.0.0.1:0", "ADMIN_ADDR: has port 0", 2},
		"a port out of range":  {":90900", "ADMIN_ADDR: has a port", 2},
		"a socket":             {"unix:/run/admin.sock", "ADMIN_ADDR: has an unknown port", 2},
		"a URL":                {"http://127.0.0.1:9090", "ADMIN_ADDR: is not HOST:PORT", 2},
		"as the public server": {":8080", "ADMIN_ADDR: is the same as HTTP_ADDR", 2},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := healthcheck(t, binary, "ADMIN_ADDR="+c.addr)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit code %d and %q, want %d and %q", code, out, c.code, c.says)
			}
		})
	}
}

// TestHealthcheckReadsNoSecret: a file that a rotation removes for a moment must not
// make a container unhealthy.
func TestHealthcheckReadsNoSecret(t *testing.T) {
	g := runServer(t, buildServer(t), "ADMIN_ADDR=127.0.0.1:"+freePort(t))
	g.Env = append(g.Env, "REDIS_URL_FILE="+filepath.Join(t.TempDir(), "gone"), "LOG_LEVEL=wrong")
	if code, out := healthcheckUntil(t, g, 0); code != 0 {
		t.Errorf("exit code %d and %q", code, out)
	}
}

// runServer starts the binary, and does not wait for it.
func runServer(t *testing.T, binary string, environ ...string) *exec.Cmd {
	t.Helper()
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	}))
	t.Cleanup(keys.Close)
	server := exec.CommandContext(t.Context(), binary)
	server.Env = append([]string{
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=secret", "DWOLLA_BASE_URL=http://127.0.0.1:1",
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer", "AUTH_BEARER_ISSUER=http://127.0.0.1:1", "AUTH_BEARER_AUDIENCE=dropgate",
		"CUSTOMER_SOURCE=claim", "HTTP_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=0s", "AUTH_BEARER_JWKS_URL=" + keys.URL,
	}, environ...)
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return server
}

// healthcheckUntil repeats the health check until the server answers with this exit
// code, for ten seconds at most.
func healthcheckUntil(t *testing.T, server *exec.Cmd, want int) (int, string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		code, out := healthcheck(t, server.Path, server.Env...)
		if answers := !strings.Contains(out, "does not answer"); answers && code == want || time.Now().After(deadline) {
			return code, out
		}
	}
}
