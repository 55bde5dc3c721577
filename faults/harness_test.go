//go:build faults

package faults_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"dropgate/bench/scratch"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
	"dropgate/internal/tracing/otlptest"
)

// user is someone who asks for client tokens.
type user struct {
	name     string
	customer string // the id of the user's own Customer
	bearer   string // a bearer token by the provider
}

// users is the number of users in a world. Each has a Customer, also the attackers.
const users = 40

func userName(i int) string   { return fmt.Sprintf("user-%d", i) }
func customerID(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }

// world is the environment of a server. Worlds share only the servers of Redis and
// PostgreSQL. A world records every secret of its test, and finally searches all output
// for them.
type world struct {
	dwolla   *dwollatest.Server
	provider *oidctest.Provider
	users    []user
	settings map[string]string // the base settings of its servers
	server   string            // the servers' binary; empty: this tree's
	started  []*process
	secrets  *secrets
	evidence *evidence

	// The proxies for fault injection.
	toDwolla, toProvider, toRedis, toPostgres *tcpproxy.Proxy
}

// newWorld makes a world whose users have bearer tokens with a Customer claim.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, emulator.Options{})
}

// newWorldWith is newWorld with options of the emulator.
func newWorldWith(t *testing.T, o emulator.Options) *world {
	t.Helper()
	w := &world{secrets: newSecrets(), evidence: &evidence{}}
	t.Cleanup(func() { w.evidence.checkNoSecret(t, w.secrets) }) // after everything else
	const key = "the-key"
	secret := w.secret("DWOLLA_CLIENT_SECRET")
	o.ClientID, o.ClientSecret = key, secret
	w.dwolla = dwollatest.New(t, o)
	w.dwolla.Intercept(w.secrets.watchDwolla)
	w.toDwolla = tcpproxy.New(t, strings.TrimPrefix(w.dwolla.URL, "http://"))
	w.toProvider = w.serve(t, w.secrets.watchProvider(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.provider.ServeHTTP(rw, r) // its issuer is this server's proxy
	})))
	issuer := "http://" + w.toProvider.Addr
	w.addUsers(t, issuer)
	w.settings = map[string]string{
		"DWOLLA_ENVIRONMENT": "sandbox", "DWOLLA_BASE_URL": "http://" + w.toDwolla.Addr, "DWOLLA_TIMEOUT": "5s",
		"DWOLLA_CLIENT_ID": key, "DWOLLA_CLIENT_SECRET": secret,
		"ALLOWED_ACTIONS": "customer.read,customer.update,dwolla-beneficial-owners",
		"AUTH_MODES":      "bearer", "AUTH_BEARER_ISSUER": issuer, "AUTH_BEARER_AUDIENCE": "dropgate",
		"CUSTOMER_SOURCE": "claim", "HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0",
		"SHUTDOWN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "10s", "LOG_LEVEL": "debug",
		"HTTP_MAX_HEADER_BYTES": "16384", // bearer alone would mean larger headers and fewer connections
	}
	// All requests come from one address.
	for _, name := range []string{"RATE_LIMIT_USER", "RATE_LIMIT_IP", "RATE_LIMIT_CREATE"} {
		if strings.Contains(binary.help, name) {
			w.settings[name] = "100000/1m"
		}
	}
	return w
}

// serve starts an HTTP server and a proxy to it.
func (w *world) serve(t *testing.T, h http.Handler) *tcpproxy.Proxy {
	t.Helper()
	server := httptest.NewServer(h)
	// Connections held by a mute proxy must not delay the end.
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return tcpproxy.New(t, server.Listener.Addr().String())
}

// addUsers creates the users, their Customers, and the provider.
func (w *world) addUsers(t *testing.T, issuer string) {
	t.Helper()
	claims := map[string]map[string]any{}
	for i := range users {
		name, id := userName(i), customerID(i)
		w.dwolla.Customer(emulator.Customer{ID: id, Type: "business", Status: "verified"})
		claims[name] = map[string]any{"dwolla_customer": id}
		w.users = append(w.users, user{name: name, customer: id})
	}
	w.provider = oidctest.New(t, provider.Options{
		Issuer: issuer, Users: claims, Transport: w.secrets.watchLogouts(http.DefaultTransport),
	})
	for i := range w.users {
		w.users[i].bearer = w.provider.Bearer(w.users[i].name)
		w.secrets.addJWT("a bearer token", w.users[i].bearer)
	}
}

// withPostgres uses a directory in PostgreSQL instead of a claim. It has a schema of
// its own.
func (w *world) withPostgres(t *testing.T) {
	t.Helper()
	schema, err := scratch.NewSchema(t.Context(), requireEnv(t, "TEST_POSTGRES_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := schema.Drop(); err != nil {
			t.Error(err)
		}
	})
	database, err := customerdb.OpenPostgres(schema.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, u := range w.users {
		if err := database.Link(t.Context(), u.name, u.customer); err != nil {
			t.Fatal(err)
		}
	}
	at, err := url.Parse(schema.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	w.toPostgres = tcpproxy.New(t, at.Host)
	at.Host = w.toPostgres.Addr
	// The test servers ask for no password. The sweep looks for this one.
	at.User = url.UserPassword(at.User.Username(), w.secret("the password of DATABASE_URL"))
	maps.Copy(w.settings, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": at.String(), "CUSTOMER_CACHE": "0s"})
}

// withRedis keeps sessions in the Redis at a host and port.
func (w *world) withRedis(t *testing.T, server string) {
	t.Helper()
	w.toRedis = tcpproxy.New(t, server)
	maps.Copy(w.settings, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": "redis://" + w.toRedis.Addr})
}

// withSpans makes the servers send spans to a collector, which demands a key.
func (w *world) withSpans(t *testing.T) {
	t.Helper()
	w.evidence.collector = otlptest.New(t)
	at := w.serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.secrets.markUsed(r.Header.Get("Api-Key"))
		w.evidence.collector.ServeHTTP(rw, r)
	}))
	key := w.secret("OTEL_EXPORTER_OTLP_HEADERS")
	maps.Copy(w.settings, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + at.Addr, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=" + url.PathEscape(key),
	})
}

// spansArrive waits for the first batch.
func (w *world) spansArrive(t *testing.T) {
	t.Helper()
	waitFor(t, "spans", 20*time.Second, func() bool { return len(w.evidence.collector.Spans()) > 0 })
}

// sharedRedis returns the address of the test Redis.
func sharedRedis(t *testing.T) string {
	t.Helper()
	at, err := url.Parse(requireEnv(t, "TEST_REDIS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	return at.Host
}

// requireEnv returns an environment variable.
func requireEnv(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		skipWithout(t, name)
	}
	return value
}

// skipWithout skips a test that this machine cannot run. In CI it fails.
func skipWithout(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("this machine lacks " + what)
	}
	t.Skip("this machine lacks " + what)
}

// secret invents and records a secret.
func (w *world) secret(name string) string { return w.secrets.newValue(name) }

// start starts a server in this world, with some settings changed.
func (w *world) start(t *testing.T, changes map[string]string) *process {
	t.Helper()
	settings := maps.Clone(w.settings)
	maps.Copy(settings, changes)
	p := startBinary(t, cmp.Or(w.server, binary.path), settings)
	w.evidence.addProcess(p)
	w.started = append(w.started, p)
	t.Cleanup(func() {
		if p.running() {
			w.evidence.recordAdminPages(t, p)
		}
	})
	return p
}

// warmUp lets a server fetch the provider's keys and an access token.
func (w *world) warmUp(t *testing.T, c *caller) {
	t.Helper()
	waitFor(t, "a first token", 10*time.Second, func() bool { return c.call(t.Context()).status == http.StatusOK })
}
