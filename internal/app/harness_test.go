package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
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

// good returns a valid configuration.
func good() map[string]string {
	return map[string]string{
		"DWOLLA_ENVIRONMENT":   "sandbox",
		"DWOLLA_CLIENT_ID":     "the-key",
		"DWOLLA_CLIENT_SECRET": "the-very-secret",
		"ALLOWED_ACTIONS":      "customer.read, dwolla-document-upload",
		"AUTH_MODES":           "bearer",
		"AUTH_BEARER_ISSUER":   "https://idp.example.com/realm",
		"AUTH_BEARER_AUDIENCE": "dropgate",
		"CUSTOMER_SOURCE":      "claim",
		"RATE_LIMIT_USER":      "off", // tests ask often, and all from one address
		"RATE_LIMIT_IP":        "off",
		"RATE_LIMIT_CREATE":    "off",
	}
}

// environ returns variables as os.Environ does.
func environ(vars map[string]string) []string {
	var all []string
	for name, value := range vars {
		all = append(all, name+"="+value)
	}
	return all
}

// faultsOf loads the good configuration with some settings changed.
func faultsOf(t *testing.T, changes map[string]string) []string {
	t.Helper()
	vars := good()
	maps.Copy(vars, changes)
	_, err := app.Load(environ(vars))
	if err == nil {
		return nil
	}
	wrong, ok := errors.AsType[*app.ConfigError](err)
	if !ok {
		t.Fatalf("%T %v, want a *ConfigError", err, err)
	}
	if strings.Contains(err.Error(), "very-secret") {
		t.Errorf("the error shows a secret: %v", err)
	}
	return wrong.Faults
}

// oidc is a configuration of the mode oidc without a fault, with changes.
func oidc(changes map[string]string) map[string]string {
	vars := map[string]string{
		"AUTH_MODES":              "oidc",
		"AUTH_OIDC_ISSUER":        "https://idp.example.com/realm",
		"AUTH_OIDC_CLIENT_ID":     "dropgate-web",
		"AUTH_OIDC_CLIENT_SECRET": "the-very-secret-of-the-client",
		"PUBLIC_URL":              "https://app.example.com",
	}
	maps.Copy(vars, changes)
	return vars
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const alicesCustomer = "11111111-1111-4111-8111-111111111111"

// fixture is an emulated Dwolla, a demo provider, and the settings for both.
type fixture struct {
	dwolla   *dwollatest.Server
	provider *oidctest.Provider
	settings map[string]string
}

// newFixture starts an emulator and a provider.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{dwolla: dwollatest.New(t, emulator.Options{ClientID: "the-key", ClientSecret: "the-very-secret"})}
	w.dwolla.Customer(emulator.Customer{ID: alicesCustomer})
	w.provider = oidctest.New(t, provider.Options{
		Users: map[string]map[string]any{"alice": {"dwolla_customer": alicesCustomer}, "carol": {}, "mallory": {}},
	})
	w.settings = good()
	maps.Copy(w.settings, map[string]string{
		"DWOLLA_BASE_URL":    w.dwolla.URL,
		"AUTH_BEARER_ISSUER": w.provider.Issuer,
		"HTTP_ADDR":          "127.0.0.1:0",
		"ADMIN_ADDR":         "127.0.0.1:0",
		"SHUTDOWN_DELAY":     "0s",
	})
	return w
}

// service is a running App.
type service struct {
	*app.App
	fixture *fixture
	logs    *logs
	stop    context.CancelFunc // as the first signal
	hurry   context.CancelFunc // as the second
	done    <-chan error       // what Serve returned
}

// start runs the service with some settings changed.
func (w *fixture) start(t *testing.T, changes map[string]string) *service {
	t.Helper()
	settings := maps.Clone(w.settings)
	maps.Copy(settings, changes)
	config, err := app.Load(environ(settings))
	if err != nil {
		t.Fatal(err)
	}
	collected := &logs{}
	a, err := app.Open(t.Context(), config, app.Build{Version: "v0.0.0-test", Commit: "0123abc"}, collected)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	second, hurry := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, second) }()
	s := &service{App: a, fixture: w, logs: collected, stop: stop, hurry: hurry, done: done}
	t.Cleanup(hurry)
	t.Cleanup(stop)
	return s
}

// refuses is why the service does not start, if it does not.
func (w *fixture) refuses(t *testing.T, changes map[string]string) string {
	t.Helper()
	settings := maps.Clone(w.settings)
	maps.Copy(settings, changes)
	config, err := app.Load(environ(settings))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = app.Open(t.Context(), config, app.Build{Version: "test"}, io.Discard); err == nil {
		t.Fatal("the service has started")
	}
	return err.Error()
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   string
}

// vend requests a client token for a user.
func (s *service) vend(t *testing.T, user, body string) answer {
	t.Helper()
	token := s.fixture.provider.Bearer(user)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return do(t, r)
}

// admin sends a GET request to the admin listener.
func (s *service) admin(t *testing.T, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.AdminAddr()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

// do uses a new connection, since a draining server closes kept ones.
func do(t *testing.T, r *http.Request) answer {
	t.Helper()
	// A connection of its own each time: a server that drains closes them.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// answers checks the status, the code of an error, and the Retry-After of an
// outage.
func answers(t *testing.T, what string, got answer, status int, code string) {
	t.Helper()
	var said struct{ Code string }
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.status != status || said.Code != code {
		t.Errorf("%s: %d %s, want %d %s", what, got.status, got.body, status, code)
	}
	if status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
		t.Errorf("%s: no Retry-After", what)
	}
}

func naming(customer string) string {
	return `{"action":"customer.read","_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/` + customer + `"}}}`
}

// until waits for a condition.
func until(t *testing.T, what string, good func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !good(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come true", what)
		}
	}
}

// unusedAddr returns an address that refuses connections.
func unusedAddr(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// shows fails the test if operators can see one of the secrets.
func shows(t *testing.T, s *service, secrets ...string) {
	t.Helper()
	for where, text := range map[string]string{
		"/readyz": s.admin(t, "/readyz").body, "/metrics": s.admin(t, "/metrics").body, "the log": s.logs.String(),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %.20s…", where, secret)
			}
		}
	}
}

// logs collects the log of a service.
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

// lines returns the lines of one kind: "access", "audit" or "".
func (l *logs) lines(t *testing.T, kind string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("a log line that is not JSON: %q", line)
			continue
		}
		if log, _ := fields["log"].(string); log == kind {
			found = append(found, fields)
		}
	}
	return found
}
