package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"dropgate/internal/app"
	"dropgate/internal/postgres/postgrestest"
)

// clinic is a configuration whose every part is live and good.
type clinic struct {
	settings      map[string]string
	site          string // of the service
	subscriptions string // Dwolla's answer
	date          string // of Dwolla's answers; empty: now
	application   http.HandlerFunc
	lookup        http.HandlerFunc
	redis         ownRedis
	schema        postgrestest.Schema
}

// newClinic starts the parts. Dwolla's emulator has no subscriptions, so a proxy adds
// them.
func newClinic(t *testing.T) *clinic {
	t.Helper()
	w := newFixture(t)
	c := &clinic{
		application: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		lookup: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"customer":"`+alicesCustomer+`"}`)
		},
	}
	serve := func(page http.HandlerFunc) string {
		server := httptest.NewServer(page)
		t.Cleanup(server.Close)
		return server.URL
	}
	c.site = serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	c.subscriptions = `{"_embedded":{"webhook-subscriptions":[{"url":"` + c.site + `/dropgate/webhooks/dwolla","paused":false}]}}`
	upstream, err := url.Parse(w.dwolla.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	proxy.ModifyResponse = func(r *http.Response) error {
		if c.date != "" {
			r.Header.Set("Date", c.date)
		}
		return nil
	}
	dwolla := serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/webhook-subscriptions" && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			_, _ = io.WriteString(w, c.subscriptions)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	r := newOwnRedis(t)
	if err := r.ConfigSet(t.Context(), "save", "").Err(); err != nil {
		t.Fatal(err)
	}
	c.redis, c.schema = r, postgrestest.New(t)
	c.settings = oidc(w.settings)
	maps.Copy(c.settings, map[string]string{
		"AUTH_MODES": "oidc,forward", "AUTH_OIDC_ISSUER": w.provider.Issuer, "PUBLIC_URL": c.site, "DWOLLA_BASE_URL": dwolla,
		"AUTH_FORWARD_URL": serve(func(w http.ResponseWriter, r *http.Request) { c.application(w, r) }),
		"CUSTOMER_SOURCE":  "lookup", "CUSTOMER_LOOKUP_URL": serve(func(w http.ResponseWriter, r *http.Request) { c.lookup(w, r) }) + "/{user}",
		"SESSION_STORE": "redis", "REDIS_URL": r.url, "DATABASE_URL": c.schema.URL, "DWOLLA_WEBHOOK_SECRET": "the-very-secret-of-the-webhooks",
		"TRUSTED_PROXIES": "192.0.2.1", "BASE_PATH": "/dropgate",
	})
	if err := app.Migrate(t.Context(), environ(c.settings), io.Discard); err != nil {
		t.Fatal(err)
	}
	return c
}

// examine runs the command, and fails t if it shows a secret.
func (c *clinic) examine(t *testing.T, changes map[string]string, args ...string) (string, error) {
	t.Helper()
	settings := maps.Clone(c.settings)
	maps.Copy(settings, changes)
	var out bytes.Buffer
	started := time.Now()
	err := app.Doctor(t.Context(), args, environ(settings), &out)
	if took := time.Since(started); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	if strings.Contains(out.String(), "very-secret") {
		t.Errorf("the report shows a secret:\n%s", &out)
	}
	return out.String(), err
}

func TestDoctorFindsNothingInGoodConfiguration(t *testing.T) {
	c := newClinic(t)
	report, err := c.examine(t, nil, "-user", "alice", "-forwarded", "203.0.113.7, 192.0.2.1")
	if err != nil {
		t.Errorf("%v:\n%s", err, report)
	}
	for _, part := range []string{
		"access token", "clock agrees", "webhook subscription of", "its keys", "its capabilities", "reaches the service", "it is a primary",
		"its rights", "eviction and persistence", "the schema is version", "verified TLS", "has the Customer " + alicesCustomer,
		"it refuses a request", "the caller is 203.0.113.7",
	} {
		if !strings.Contains(report, part) {
			t.Errorf("no %q in:\n%s", part, report)
		}
	}
	report, err = c.examine(t, nil, "-json")
	var said struct {
		Checks []struct{ Part, Status, Detail string }
	}
	if wrong := json.Unmarshal([]byte(report), &said); wrong != nil || err != nil || len(said.Checks) < 10 {
		t.Errorf("%v, %v: %s", wrong, err, report)
	}
}

func TestDoctorHasHintForEachFailure(t *testing.T) {
	c := newClinic(t)
	misfit := misfitProvider(t, c.settings["AUTH_OIDC_ISSUER"], map[string]any{"code_challenge_methods_supported": []string{"plain"}})
	nobody := "127.0.0.1:1"
	for name, row := range map[string]struct {
		changes map[string]string
		spoil   func()
		hint    string
		args    []string
	}{
		"Dwolla's secret":     {map[string]string{"DWOLLA_CLIENT_SECRET": "another-very-secret"}, nil, "check DWOLLA_CLIENT_ID and DWOLLA_CLIENT_SECRET", nil},
		"Dwolla is away":      {map[string]string{"DWOLLA_BASE_URL": "http://" + nobody}, nil, "DWOLLA_ENVIRONMENT", nil},
		"the clock":           {nil, func() { c.date = time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, "NTP", nil},
		"a paused webhook":    {nil, func() { c.subscriptions = strings.Replace(c.subscriptions, "false", "true", 1) }, `"paused":false`, nil},
		"another's webhook":   {nil, func() { c.subscriptions = strings.Replace(c.subscriptions, "http", "https", 1) }, "subscribe with the url " + c.site + "/dropgate/webhooks/dwolla", nil},
		"the provider's way":  {map[string]string{"AUTH_OIDC_ISSUER": misfit}, nil, "let it accept S256", nil},
		"the issuer":          {map[string]string{"AUTH_OIDC_ISSUER": misfit + "/"}, nil, "set the issuer", nil},
		"the provider's away": {map[string]string{"AUTH_OIDC_ISSUER": "http://" + nobody}, nil, "check the issuer's URL", nil},
		"the redirect URI":    {map[string]string{"PUBLIC_URL": "http://" + nobody}, nil, "start the service", nil},
		"another site":        {map[string]string{"PUBLIC_URL": c.settings["AUTH_FORWARD_URL"]}, nil, "let the proxy pass /dropgate/auth/callback", nil},
		"Redis is away":       {map[string]string{"REDIS_URL": "redis://:the-very-secret@" + nobody}, nil, "check REDIS_URL", nil},
		"no PostgreSQL":       {map[string]string{"DATABASE_URL": "postgres://a:the-very-secret@" + nobody + "/d"}, nil, "check DATABASE_URL, the role's password", nil},
		"no schema":           {map[string]string{"DATABASE_URL": postgrestest.New(t).URL}, nil, "run server migrate", nil},
		"the application": {nil, func() {
			c.application = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }
		}, "must answer in JSON", nil},
		"everybody is a user": {nil, func() {
			c.application = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"sub":"alice"}`) }
		}, "nobody else", nil},
		"the look-up": {nil, func() {
			c.lookup = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
		}, "CUSTOMER_LOOKUP_TOKEN", []string{"-user", "alice"}},
		"trusted callers":   {map[string]string{"TRUSTED_PROXIES": "192.0.2.1,203.0.113.0/24"}, nil, "remove the callers' addresses", []string{"-forwarded", "203.0.113.7"}},
		"no trusted proxy":  {map[string]string{"TRUSTED_PROXIES": ""}, nil, "set TRUSTED_PROXIES", []string{"-forwarded", "203.0.113.7"}},
		"an unreadable hop": {nil, nil, "make the proxy write IP addresses", []string{"-forwarded", "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := *c
			defer func() { *c = before }()
			if row.spoil != nil {
				row.spoil()
			}
			report, err := c.examine(t, row.changes, row.args...)
			if err == nil || !strings.Contains(report, "-> ") || !strings.Contains(report, row.hint) {
				t.Errorf("%v, want the hint %q:\n%s", err, row.hint, report)
			}
		})
	}
}

func TestDoctorChangesNoStore(t *testing.T) {
	c := newClinic(t)
	empty := postgrestest.New(t)
	file := t.TempDir() + "/links.db"
	for _, database := range []string{empty.URL, "sqlite:" + file} {
		if report, err := c.examine(t, map[string]string{"DATABASE_URL": database, "CUSTOMER_SOURCE": "database", "CUSTOMER_LOOKUP_URL": ""}, "-user", "alice"); err == nil {
			t.Errorf("nothing is wrong with an empty database:\n%s", report)
		}
	}
	var tables int
	if err := postgrestest.Open(t, empty.URL).QueryRowContext(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables (%v)", tables, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
}

func TestDoctorRefusesWrongCommandLine(t *testing.T) {
	for _, args := range [][]string{{"extra"}, {"-unknown"}} {
		if err := app.Doctor(t.Context(), args, nil, io.Discard); !errors.Is(err, app.ErrDoctorUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, wrong := errors.AsType[*app.ConfigError](app.Doctor(t.Context(), nil, nil, io.Discard)); !wrong {
		t.Error("no settings are no fault")
	}
}
