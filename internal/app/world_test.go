package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"dropgate/internal/app"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

const alicesCustomer = "11111111-1111-4111-8111-111111111111"

// world is what the service stands on.
type world struct {
	dwolla   *dwollatest.Server
	provider *oidctest.Provider
	settings map[string]string
}

// newWorld starts an emulator and an identity provider, and says how to reach
// them.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dwolla: dwollatest.New(t, emulator.Options{ClientID: "the-key", ClientSecret: "the-very-secret"})}
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
	world *world
	logs  *logs
	stop  context.CancelFunc // as the first signal
	hurry context.CancelFunc // as the second
	done  <-chan error       // what Serve returned
}

// start runs the service with some settings changed.
func (w *world) start(t *testing.T, changes map[string]string) *service {
	t.Helper()
	settings := maps.Clone(w.settings)
	maps.Copy(settings, changes)
	config, err := app.Load(environ(settings))
	if err != nil {
		t.Fatal(err)
	}
	collected := &logs{}
	a, err := app.Open(t.Context(), config, "v0.0.0-test", collected)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	second, hurry := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, second) }()
	s := &service{App: a, world: w, logs: collected, stop: stop, hurry: hurry, done: done}
	t.Cleanup(hurry)
	t.Cleanup(stop)
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// vend asks for a client token as user.
func (s *service) vend(t *testing.T, user, body string) answer {
	t.Helper()
	token := s.world.provider.Bearer(user)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return do(t, r)
}

// admin asks the admin listener.
func (s *service) admin(t *testing.T, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.AdminAddr()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r)
}

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

// logs collects what the service writes.
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

// lines are the lines of one kind: "access", "audit" or "".
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
