package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
)

// series is a series by its labels. Its name is the label __name__.
type series map[string]string

// selectorsIn returns the selectors of an expression, without those of recorded series.
func selectorsIn(t *testing.T, expression string) [][]metricsql.LabelFilter {
	t.Helper()
	parsed, err := metricsql.Parse(expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	var selectors [][]metricsql.LabelFilter
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		if m, ok := e.(*metricsql.MetricExpr); ok {
			selectors = append(selectors, m.LabelFilterss...)
		}
	})
	return slices.DeleteFunc(selectors, func(s []metricsql.LabelFilter) bool {
		return slices.ContainsFunc(s, func(f metricsql.LabelFilter) bool { return f.Label == "__name__" && strings.Contains(f.Value, ":") })
	})
}

// selects reports whether a selector finds the series. Prometheus adds the labels of
// targets, which the server does not know.
func selects(selector []metricsql.LabelFilter, s series) bool {
	return !slices.ContainsFunc(selector, func(f metricsql.LabelFilter) bool {
		if f.Label == "namespace" || f.Label == "job" || f.Label == "instance" {
			return false
		}
		found := s[f.Label] == f.Value
		if f.IsRegexp {
			found = regexp.MustCompile("^(?:" + f.Value + ")$").MatchString(s[f.Label])
		}
		return found == f.IsNegative
	})
}

// exported starts the real server with everything turned on, and returns its series. None
// of its dependencies exists.
func exported(t *testing.T) []series {
	t.Helper()
	folder := t.TempDir()
	cert, key := selfSigned(t, folder)
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := startServer(t, folder, map[string]string{
		"HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "SHUTDOWN_DELAY": "0s", "PUBLIC_URL": "https://localhost",
		"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "AUDIT_LOG": filepath.Join(folder, "audit.log"),
		"DWOLLA_ENVIRONMENT": "sandbox", "DWOLLA_BASE_URL": "http://127.0.0.1:1", "DWOLLA_CLIENT_ID": "key", "DWOLLA_CLIENT_SECRET_FILE": secret,
		"DWOLLA_WEBHOOK_SECRET": rand.Text(), "ENROLLMENT_KEYS": "ZGVtbyBrZXkgb2YgZHJvcGdhdGUncyBjb21wb3NlIGZpbGU=",
		"ALLOWED_ACTIONS": "customer.read", "AUTH_MODES": "bearer,oidc", "AUTH_BEARER_ISSUER": "http://127.0.0.1:1", "AUTH_BEARER_AUDIENCE": "dropgate",
		"AUTH_OIDC_ISSUER": "http://127.0.0.1:1", "AUTH_OIDC_CLIENT_ID": "client", "AUTH_OIDC_CLIENT_SECRET": "secret-of-the-client-in-this-test",
		"SESSION_STORE": "redis", "REDIS_URL": "redis://127.0.0.1:1", "CUSTOMER_SOURCE": "database", "DATABASE_URL": "postgres://a:b@127.0.0.1:1/c?sslmode=disable",
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %d, %v", answer.StatusCode, err)
	}
	return parseSeries(t, string(text))
}

// parseSeries reads Prometheus's text format.
func parseSeries(t *testing.T, text string) []series {
	t.Helper()
	var all []series
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, selector := range selectorsIn(t, line[:strings.LastIndexByte(line, ' ')]) {
			s := series{}
			for _, filter := range selector {
				s[filter.Label] = filter.Value
			}
			all = append(all, s)
		}
	}
	return all
}

// startServer builds and starts the server, and returns the address of its admin
// listener. It ends with the test.
func startServer(t *testing.T, folder string, settings map[string]string) string {
	t.Helper()
	binary := filepath.Join(folder, "server")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "..", "-o", binary, "./cmd/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the server: %v\n%s", err, out)
	}
	server := exec.CommandContext(t.Context(), binary)
	server.Dir, server.Env = folder, []string{}
	for name, value := range settings {
		server.Env = append(server.Env, name+"="+value)
	}
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = 20 * time.Second
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = log.Close()
	})
	return adminAddress(t, log.Name(), ended)
}

// adminAddress reads the log until it has the address.
func adminAddress(t *testing.T, log string, ended <-chan struct{}) string {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`"admin_addr":"([0-9.:]+)"`).FindSubmatch(text); found != nil {
			return string(found[1])
		}
		select {
		case <-ended:
			text, _ = os.ReadFile(log)
			t.Fatalf("the server has ended:\n%s", text)
		case <-late:
			t.Fatalf("the server did not start:\n%s", text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// selfSigned writes a certificate and its key.
func selfSigned(t *testing.T, folder string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(kind string, content []byte) string {
		path := filepath.Join(folder, strings.ReplaceAll(kind, " ", "-")+".pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("CERTIFICATE", signed), write("PRIVATE KEY", encoded)
}

// checkExported fails the test for each selector that finds no series of the server. A
// name, a label or a value has changed or never existed.
func checkExported(t *testing.T, all []series, where, expression string) {
	t.Helper()
	for _, selector := range selectorsIn(t, expression) {
		if !slices.ContainsFunc(all, func(s series) bool { return selects(selector, s) }) {
			t.Errorf("%s: the server exports no series for %s", where, describe(selector))
		}
	}
}

func describe(selector []metricsql.LabelFilter) string {
	return string((&metricsql.MetricExpr{LabelFilterss: [][]metricsql.LabelFilter{selector}}).AppendString(nil))
}
