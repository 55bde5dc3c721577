package app_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/app"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla/emulator"
)

func TestServiceVendsAndRefuses(t *testing.T) {
	s := newFixture(t).start(t, nil)
	if got := s.vend(t, "alice", `{"action":"customer.read"}`); got.status != http.StatusOK || !strings.HasPrefix(got.body, `{"token":"`) {
		t.Errorf("own Customer: %d %s", got.status, got.body)
	}
	if got := s.vend(t, "carol", `{"action":"customer.read","links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/`+alicesCustomer+`"}}}`); got.status != http.StatusForbidden {
		t.Errorf("another user's Customer: %d %s", got.status, got.body)
	}
	issued := s.fixture.dwolla.ClientTokens()
	if len(issued) != 1 || issued[0].CustomerID != alicesCustomer || issued[0].Action != "customer.read" {
		t.Errorf("Dwolla issued %+v", issued)
	}
	if audit := s.logs.lines(t, "audit"); len(audit) != 2 || audit[0]["outcome"] != "vended" || audit[1]["outcome"] != "CustomerMismatch" {
		t.Errorf("audit lines %v", audit)
	}
}

func TestServiceReadsLinksFromItsDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "links.db")
	store, err := customerdb.OpenSQLite(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Link(t.Context(), "carol", alicesCustomer); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + file})
	if got := s.vend(t, "carol", `{"action":"customer.read"}`); got.status != http.StatusOK {
		t.Errorf("linked: %d %s", got.status, got.body)
	}
	// The claim does not count where the database does.
	if got := s.vend(t, "alice", `{"action":"customer.read"}`); got.status != http.StatusConflict {
		t.Errorf("not linked: %d %s", got.status, got.body)
	}
}

func TestServiceStartsWithoutAnyDependency(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, map[string]string{
		"DWOLLA_BASE_URL":      "http://" + unusedAddr(t),
		"AUTH_BEARER_JWKS_URL": "http://" + unusedAddr(t),
	})
	until(t, "the missing keys are named", func() bool {
		status, what := s.missing(t)
		return status == http.StatusServiceUnavailable && slices.Equal(what, []string{"dwolla", "identity provider keys"})
	})
	got := s.vend(t, "alice", `{"action":"customer.read"}`)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("without keys: %d %v, want 503 with Retry-After, not 401", got.status, got.header)
	}
	s = w.start(t, map[string]string{"DWOLLA_BASE_URL": "http://" + unusedAddr(t)})
	until(t, "readiness without Dwolla, which all replicas share", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	got = s.vend(t, "alice", `{"action":"customer.read"}`)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("without Dwolla: %d %v, want 503 with Retry-After", got.status, got.header)
	}
}

func TestOpenNamesTakenAddress(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, nil)
	for name, taken := range map[string]string{"HTTP_ADDR": s.PublicAddr(), "ADMIN_ADDR": s.AdminAddr()} {
		settings := good()
		settings["HTTP_ADDR"], settings["ADMIN_ADDR"] = "127.0.0.1:0", "127.0.0.1:0"
		settings[name] = taken
		config, err := app.Load(environ(settings))
		if err != nil {
			t.Fatal(err)
		}
		_, err = app.Open(t.Context(), config, app.Build{Version: "test"}, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("%s taken: %v", name, err)
		}
	}
}

func TestOpenSaysWhyDatabaseFails(t *testing.T) {
	settings := good()
	settings["CUSTOMER_SOURCE"], settings["DATABASE_URL"] = "database", "sqlite:/no/such/folder/links.db"
	config, err := app.Load(environ(settings))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = app.Open(t.Context(), config, app.Build{Version: "test"}, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "DATABASE_URL: ") {
		t.Errorf("error %v", err)
	}
}

func TestServerHasItsLimits(t *testing.T) {
	s := newFixture(t).start(t, nil)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.PublicAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /session HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 48<<10)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("headers of 48 KiB: %d", resp.StatusCode)
	}
}

func TestAdminListenerServesNoPublicRoute(t *testing.T) {
	s := newFixture(t).start(t, nil)
	s.vend(t, "alice", `{"action":"customer.read"}`)
	if got := s.admin(t, "/version"); got.body != `{"commit":"0123abc","version":"v0.0.0-test"}` {
		t.Errorf("version %s", got.body)
	}
	metrics := s.admin(t, "/metrics").body
	for _, want := range []string{
		`dropgate_http_requests_total{code="200",method="POST",route="/client-tokens"} 1`,
		`dropgate_http_request_duration_seconds_count{method="POST",route="/client-tokens"} 1`,
		`dropgate_http_requests_in_flight 0`,
		`dropgate_client_tokens_total{action="customer.read",outcome="vended"} 1`,
		`dropgate_auth_total{mode="bearer",outcome="accepted",reason="none"} 1`,
		`dropgate_dwolla_requests_total{code="200",operation="create_client_token"} 1`,
		`dropgate_dwolla_request_duration_seconds_count{operation="create_client_token"} 1`,
		`dropgate_dwolla_access_token_expiry_timestamp_seconds 1.`,
		`dropgate_jwks_refresh_total{outcome="success"} 1`,
		`dropgate_build_info{commit="0123abc",go_version="go`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics do not hold %s", want)
		}
	}
	if got := s.admin(t, "/client-tokens"); got.status != http.StatusNotFound {
		t.Errorf("the admin listener answers /client-tokens: %d", got.status)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, r); got.status != http.StatusNotFound {
		t.Errorf("the public listener answers /metrics: %d", got.status)
	}
}

func TestNoSecretIsInLogsOrMetrics(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, map[string]string{"LOG_LEVEL": "debug"})
	token, err := w.provider.TokenFor("alice")
	if err != nil {
		t.Fatal(err)
	}
	s.vend(t, "alice", `{"action":"customer.read"}`)
	w.dwolla.RevokeAccessTokens()
	s.vend(t, "alice", `{"action":"customer.read"}`)
	w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: http.StatusForbidden, Body: `{"code":"Forbidden","message":"the-very-secret"}`, Times: 1})
	s.vend(t, "alice", `{"action":"customer.read"}`)
	written := s.logs.String() + s.admin(t, "/metrics").body
	secrets := []string{"the-very-secret", token, token[strings.LastIndex(token, ".")+1:]}
	for _, issued := range w.dwolla.ClientTokens() {
		secrets = append(secrets, issued.Token)
	}
	if len(secrets) < 5 {
		t.Fatalf("only %d secrets to look for", len(secrets))
	}
	for _, secret := range secrets {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
			if strings.Contains(written, form) {
				t.Errorf("a secret was written: %.20s...", form)
			}
		}
	}
}
