package providers_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/app"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

// bearerRow is a kind of token of one provider.
type bearerRow struct {
	name     string
	settings string // as in the documentation: lines of NAME=VALUE
	pages    object // the provider's documents by URL
	token    token
	raw      string // a token that is not signed, instead of token
	header   string // carries the token; empty for Authorization
	user     string // whom the token names; empty if it is refused
	customer bool   // the token names a Customer
	reason   string // for the refusal, in the log
}

const customer = "11111111-1111-4111-8111-111111111111"

// settingsOf parses the settings of a row.
func settingsOf(lines string) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(lines) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			settings[name] = value
		}
	}
	return settings
}

func TestBearerTokensOfEachProvider(t *testing.T) {
	t.Parallel()
	for _, row := range bearerRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			for url, page := range row.pages {
				world.serve(url, page)
			}
			s := start(t, world, row.settings)
			raw := row.raw
			if raw == "" {
				raw = row.token.text()
			}
			status, said := s.session(t, row.header, raw)
			if row.user == "" {
				s.refused(t, status, row.reason)
				return
			}
			if status != http.StatusOK || said.User.ID != row.user || (said.Customer != nil) != row.customer {
				t.Fatalf("%d %+v, want %s\n%s", status, said, row.user, s.logs)
			}
			s.forgedIsRefused(t, row, raw)
		})
	}
}

// service is the real service with the settings of a row.
type service struct {
	*app.App

	logs *logs
}

func start(t *testing.T, world *internet, lines string) *service {
	t.Helper()
	dwolla := dwollatest.New(t, emulator.Options{ClientID: "the-key", ClientSecret: "the-very-secret"})
	dwolla.Customer(emulator.Customer{ID: customer})
	settings := map[string]string{
		"DWOLLA_ENVIRONMENT": "sandbox", "DWOLLA_CLIENT_ID": "the-key", "DWOLLA_CLIENT_SECRET": "the-very-secret", "DWOLLA_BASE_URL": dwolla.URL,
		"ALLOWED_ACTIONS": "customer.read", "AUTH_MODES": "bearer", "CUSTOMER_SOURCE": "claim",
		"HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "SHUTDOWN_DELAY": "0s", "HTTPS_PROXY": world.proxy,
	}
	maps.Copy(settings, settingsOf(lines))
	var environment []string
	for name, value := range settings {
		environment = append(environment, name+"="+value)
	}
	config, err := app.Load(environment)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{logs: &logs{}}
	if s.App, err = app.Open(t.Context(), config, app.Build{Version: "v0.0.0-test"}, s.logs); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// sessionAnswer is the part of GET /session that names the user.
type sessionAnswer struct {
	User     struct{ ID string }
	Customer *struct{ Href string }
}

// session asks who is signed in, until the service has the provider's keys.
func (s *service) session(t *testing.T, header, raw string) (int, sessionAnswer) {
	t.Helper()
	for {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/session", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if header == "" {
			header, raw = "Authorization", "Bearer "+raw
		}
		r.Header.Set(header, raw)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var said sessionAnswer
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal(body, &said)
		if resp.StatusCode != http.StatusServiceUnavailable {
			return resp.StatusCode, said
		}
	}
}

// refused checks for a 401 with its reason in the log.
func (s *service) refused(t *testing.T, status int, reason string) {
	t.Helper()
	if status != http.StatusUnauthorized {
		t.Fatalf("%d, want 401\n%s", status, s.logs)
	}
	s.logs.waitFor(t, reason)
}

// forgedIsRefused changes what makes the token good.
func (s *service) forgedIsRefused(t *testing.T, row bearerRow, raw string) {
	t.Helper()
	for name, edits := range map[string]object{
		"issuer": {"iss": "https://attacker.example"}, "expiry": {"exp": time.Now().Add(-time.Hour).Unix()},
		"party": {
			"aud": "another-service", "azp": "another-client", "client_id": "another-client", "cid": "another-client", "appid": "another-client",
		},
	} {
		forged := row.token
		forged.claims = maps.Clone(row.token.claims)
		maps.Copy(forged.claims, edits)
		if status, said := s.session(t, row.header, forged.text()); status != http.StatusUnauthorized {
			t.Errorf("another %s: %d %+v", name, status, said)
		}
	}
	if status, _ := s.session(t, row.header, raw[:len(raw)-8]+"AAAAAAAA"); status != http.StatusUnauthorized {
		t.Errorf("another signature: %d", status)
	}
}

// logs collects the log of a service.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// waitFor waits until the log has a reason.
func (l *logs) waitFor(t *testing.T, reason string) {
	t.Helper()
	text, err := json.Marshal(reason)
	if err != nil {
		t.Fatal(err)
	}
	if reason == "" {
		t.Fatal("the row has no reason")
	}
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(l.String(), strings.Trim(string(text), `"`)); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %q\n%s", reason, l)
		}
	}
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
