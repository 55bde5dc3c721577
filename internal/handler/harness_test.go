package handler_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/api"
	"dropgate/internal/audit"
	"dropgate/internal/auth"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/handler"
	"dropgate/internal/ratelimit"
)

// The people of these tests. Alice and bob have a Customer with one beneficial
// owner each. Carol has no Customer, and mallory's claim is invalid.
const (
	alice   = "alice"
	bob     = "bob"
	carol   = "carol"
	mallory = "mallory"
	nobody  = "" // sends no credentials

	alicesID  = "707177c3-bf15-4e7e-b37c-55c3898d9bf4"
	bobsID    = "fc451a7a-ae30-4404-ab95-e3553fcd733f"
	nobodysID = "00000000-0000-4000-8000-000000000000"

	sandboxRoot = "https://api-sandbox.dwolla.com"
)

const (
	issuer     = "https://id.example.com"
	audience   = "dropgate"
	cookieName = "app_session"
)

// signingKey is shared because making a key takes longer than most tests.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// identityProvider signs bearer tokens. It does not listen.
func identityProvider(tb testing.TB) *oidctest.Provider {
	tb.Helper()
	return oidctest.New(tb, provider.Options{Issuer: issuer, Audience: audience, Key: signingKey(), Users: map[string]map[string]any{
		alice:     {"dwolla_customer": alicesID, "name": "Alice A.", "email": "alice@example.com"},
		bob:       {"dwolla_customer": sandboxRoot + "/customers/" + bobsID, "name": map[string]any{"first": "Bob"}},
		carol:     {},
		panicking: {},
		mallory:   {"dwolla_customer": "not a Customer"},
	}})
}

// setup holds a test's choices. Zero values get defaults.
type setup struct {
	handler       handler.Config // without the parts made by the world
	policy        []string
	directory     func(clienttoken.API) customer.Source
	modesAfter    []auth.Mode
	keys          http.Handler // where the identity provider's keys are
	dwollaTimeout time.Duration
	logLevel      zerolog.Level
	limits        ratelimit.Config // unlimited by default
	signIn        *signIn          // nil: no mode oidc
	// enrollment is nil unless users create their own Customers.
	enrollment func(clienttoken.API, *dwolla.Client) clienttoken.Enrollment
}

func allowedOrigins(origins ...string) func(*setup) {
	return func(s *setup) { s.handler.AllowedOrigins = origins }
}

func basePath(path string) func(*setup) {
	return func(s *setup) { s.handler.BasePath = path }
}

func policy(names ...string) func(*setup) {
	return func(s *setup) { s.policy = names }
}

func dwollaTimeout(d time.Duration) func(*setup) {
	return func(s *setup) { s.dwollaTimeout = d }
}

// directoryFunc is a directory made from a function.
type directoryFunc func(context.Context, clienttoken.User) (clienttoken.CustomerURL, error)

func (f directoryFunc) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	return f(ctx, user)
}

func directory(f directoryFunc) func(*setup) {
	return func(s *setup) { s.directory = func(clienttoken.API) customer.Source { return f } }
}

// fromSQLite links alice and bob in a database. It passes the open store to
// opened.
func fromSQLite(t *testing.T, opened func(*customerdb.Database)) func(*setup) {
	t.Helper()
	store, err := customerdb.OpenSQLite(t.Context(), t.TempDir()+"/links.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for user, id := range map[string]string{alice: alicesID, bob: bobsID} {
		if err := store.Link(t.Context(), user, id); err != nil {
			t.Fatal(err)
		}
	}
	opened(store)
	return func(s *setup) {
		s.directory = func(api clienttoken.API) customer.Source {
			return customer.NewLinkSource(api, store, 0)
		}
	}
}

// world is the service as the server wires it, and everything around it.
type world struct {
	tb       testing.TB
	root     string // of Dwolla's API
	url      string // of the service, without the base path
	base     string // the base path
	handler  http.Handler
	owner    string // the id of alice's beneficial owner
	bobs     string // and of bob's
	dwolla   *dwollatest.Server
	bearers  *oidctest.Provider // signs bearer tokens
	logs     *logs
	sink     *auditSink
	registry *prometheus.Registry
	client   *http.Client
	tokens   *secrets
	*signIn  // only with withSignIn
}

// newWorld starts a service for tb. When tb ends, no secret may have left.
func newWorld(tb testing.TB, edits ...func(*setup)) *world {
	tb.Helper()
	idp := identityProvider(tb)
	s := setup{
		policy:        []string{"dwolla-business-vcr", "dwolla-beneficial-owners", "dwolla-document-upload"},
		keys:          idp,
		dwollaTimeout: 5 * time.Second,
		logLevel:      zerolog.InfoLevel,
		directory: func(api clienttoken.API) customer.Source {
			return customer.Claim{API: api, Name: "dwolla_customer"}
		},
	}
	for _, edit := range edits {
		edit(&s)
	}
	w := &world{
		tb: tb, bearers: idp, base: s.handler.BasePath, logs: newLogs(), registry: prometheus.NewRegistry(),
		tokens: &secrets{values: map[string]bool{}},
	}
	w.sink = &auditSink{to: w.logs}
	w.startDwolla()
	server := httptest.NewUnstartedServer(nil)
	w.url = "http://" + server.Listener.Addr().String()
	h, err := handler.New(w.wired(s))
	if err != nil {
		tb.Fatal(err)
	}
	server.Config.Handler, w.handler = h, h
	server.Start()
	tb.Cleanup(server.Close)
	w.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	tb.Cleanup(w.client.CloseIdleConnections)
	tb.Cleanup(func() {
		w.noSecretIn(tb, "the logs", w.logs.text())
		w.noSecretIn(tb, "the metrics", w.metricsText())
	})
	return w
}

func (w *world) startDwolla() {
	w.dwolla = dwollatest.New(w.tb, emulator.Options{})
	for id, owner := range map[string]*string{alicesID: &w.owner, bobsID: &w.bobs} {
		w.dwolla.Customer(emulator.Customer{ID: id, Type: "business"})
		*owner = w.dwolla.BeneficialOwner(id)
	}
	w.root = w.dwolla.URL
}

// wired puts the service together as internal/app does.
func (w *world) wired(s setup) handler.Config {
	root, err := clienttoken.NewAPI(clienttoken.Sandbox, w.root)
	if err != nil {
		w.tb.Fatal(err)
	}
	policy, err := clienttoken.ParsePolicy(s.policy)
	if err != nil {
		w.tb.Fatal(err)
	}
	logger := zerolog.New(w.logs).Level(s.logLevel)
	client := dwolla.New(dwolla.Config{
		API: root, ClientID: dwollatest.ClientID, ClientSecret: clienttoken.NewSecret(dwollatest.ClientSecret),
		Timeout: s.dwollaTimeout, Logger: logger, Registerer: w.registry,
	})
	w.tb.Cleanup(client.Close)
	keys := httptest.NewServer(s.keys)
	w.tb.Cleanup(keys.Close)
	bearer := auth.NewBearer(auth.BearerConfig{
		Issuer: issuer, Audience: audience, Cookie: cookieName, UserClaim: "sub",
		Claims: []string{"dwolla_customer", "name", "email"},
		Keys: auth.NewKeySet(auth.KeySetConfig{
			Issuer: issuer, URL: keys.URL + "/keys", Transport: http.DefaultTransport,
			Logger: logger, Registerer: w.registry,
		}),
	})
	c := s.handler
	c.Environment = clienttoken.Sandbox
	c.Vendor = &clienttoken.Vendor{API: root, Policy: policy, Dwolla: client, Directory: customer.NewDirectory(customer.DirectoryConfig{
		Source: s.directory(root), Owners: client, Registerer: w.registry,
	})}
	if s.enrollment != nil {
		c.Vendor.Enrollment = s.enrollment(root, client)
	}
	c.Audit = audit.NewTrail(w.sink, w.registry)
	modes := []auth.Mode{bearer}
	if w.signIn = s.signIn; w.signIn != nil {
		w.startProvider()
		c.OIDC = auth.NewOIDC(w.oidcConfig(c, logger))
		modes = append(modes, c.OIDC)
	}
	c.Auth = auth.NewChain(w.registry, append(modes, s.modesAfter...)...)
	began := time.Now() // nothing is refilled while a test runs
	s.limits.Now, s.limits.Logger, s.limits.Registerer = func() time.Time { return began }, logger, w.registry
	c.Now, c.Limits = s.limits.Now, ratelimit.New(s.limits)
	c.Vendor.Creations = c.Limits
	c.OpenAPI, c.Script, c.ScriptTypes = api.OpenAPI, api.Script, api.ScriptTypes
	c.Logger = logger
	c.Registerer = w.registry
	return c
}

// allows reports whether policy allows action, as it does to every user.
func allows(policy clienttoken.FixedPolicy, action clienttoken.Action) bool {
	allowed, err := policy.For(context.Background(), clienttoken.User{})
	return err == nil && allowed.Allows(action)
}
