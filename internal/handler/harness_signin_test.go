package handler_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
	"dropgate/internal/ratelimit"
)

const (
	idle     = 15 * time.Minute
	lifetime = 8 * time.Hour

	oidcClient = oidctest.ClientID
	oidcSecret = oidctest.ClientSecret

	nameless = "nameless" // has no email address
)

// signIn is the part of a world for OpenID Connect.
type signIn struct {
	clock  *clock
	store  *faulty
	edit   func(*auth.OIDCConfig)
	issuer string
	idp    *oidctest.Provider
	wire   *wire // from the service to the provider
}

// withSignIn lets people sign in, at a provider of this world's own. Edits
// change how.
func withSignIn(edits ...func(*signIn)) func(*setup) {
	return func(s *setup) {
		c := &clock{}
		s.signIn = &signIn{
			clock: c,
			store: &faulty{Store: session.NewMemory(c.limits())},
			edit:  func(*auth.OIDCConfig) {},
		}
		for _, edit := range edits {
			edit(s.signIn)
		}
	}
}

// configured changes the configuration of the mode.
func configured(edit func(*auth.OIDCConfig)) func(*signIn) {
	return func(s *signIn) { s.edit = edit }
}

func (w *world) startProvider() {
	w.wire = &wire{secrets: w.tokens}
	w.tokens.add(oidcSecret)
	w.idp = oidctest.New(w.tb, provider.Options{
		Users: map[string]map[string]any{
			alice:    {"dwolla_customer": alicesID, "name": "Alice A.", "email": "alice@example.com"},
			bob:      {"dwolla_customer": bobsID, "name": "Bob B.", "email": "bob@example.com"},
			nameless: {},
		},
		Clients:   []provider.Client{w.registration()},
		Transport: &wire{secrets: w.tokens},
	})
	w.issuer = w.idp.Issuer
}

// registration is how the provider knows the service.
func (w *world) registration() provider.Client {
	return oidctest.Client(w.url + w.base)
}

func (w *world) oidcConfig(c handler.Config, logger zerolog.Logger) auth.OIDCConfig {
	config := auth.OIDCConfig{
		Issuer: w.issuer, ClientID: oidcClient, ClientSecret: clienttoken.NewSecret(oidcSecret),
		Scopes: []string{"openid", "profile", "email"}, UserClaim: "sub",
		Claims: []string{"dwolla_customer", "name", "email"}, PassParameters: []string{"login_hint"},
		Origin: w.url, BasePath: c.BasePath, AllowedOrigins: c.AllowedOrigins, SameSite: http.SameSiteStrictMode,
		Sessions: session.Observe(w.store, w.registry), Ended: handler.SignedOut(c.Audit),
		Keys: auth.NewKeySet(auth.KeySetConfig{
			Issuer: w.issuer, URL: w.issuer + "/keys", Transport: w.wire, Logger: logger,
			Registerer: prometheus.NewRegistry(), // the other mode has one of its own
		}),
		Transport: w.wire, Registerer: w.registry,
	}
	w.edit(&config)
	return config
}

// clock runs as fast as every other one, and can be put forward.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func (c *clock) limits() session.Limits {
	return session.Limits{Idle: idle, Lifetime: lifetime, Now: c.now}
}

// mishap comes in the place of an operation of a store, unless it returns nil.
type mishap func(ctx context.Context, operation string) error

// faulty is a session store with injected faults.
type faulty struct {
	session.Store

	mu     sync.Mutex
	mishap mishap // nil: none
}

// has gives the store a mishap; nil mends it.
func (f *faulty) has(m mishap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mishap = m
}

// down is the mishap of an unavailable store.
func down(context.Context, string) error {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: 7 * time.Second, Err: errors.New("the store is down")}
}

func (f *faulty) suffer(ctx context.Context, operation string) error {
	f.mu.Lock()
	mishap := f.mishap
	f.mu.Unlock()
	if mishap == nil {
		return nil
	}
	return mishap(ctx, operation)
}

// Start implements session.Store.
func (f *faulty) Start(ctx context.Context, key session.Key, s session.Stored, by session.SignIn) (session.Ended, error) {
	if err := f.suffer(ctx, "start"); err != nil {
		return session.Ended{}, err
	}
	return f.Store.Start(ctx, key, s, by)
}

// Find implements session.Store.
func (f *faulty) Find(ctx context.Context, key session.Key, effect session.Touch, charge *ratelimit.Charge) (session.Stored, error) {
	if err := f.suffer(ctx, "find"); err != nil {
		return session.Stored{}, err
	}
	return f.Store.Find(ctx, key, effect, charge)
}

// End implements session.Store.
func (f *faulty) End(ctx context.Context, which session.Selector) ([]session.Stored, error) {
	if err := f.suffer(ctx, "end"); err != nil {
		return nil, err
	}
	return f.Store.End(ctx, which)
}

// wire carries requests between the service and the provider. It notes the
// secrets in them, and can be cut.
type wire struct {
	secrets *secrets

	mu        sync.Mutex
	cut       error
	forged    func(real string) string // the answer of the token endpoint, from the real one
	exchanges int                      // of codes
	idToken   string                   // the last one seen
}

// RoundTrip carries one request.
func (c *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut != nil && r.URL.Path != "/keys" { // the keys stay reachable
		return nil, c.cut
	}
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	form, _ := url.ParseQuery(string(sent)) // only a form has values to note
	for _, parameter := range []string{"code_verifier", "logout_token"} {
		c.secrets.add(form.Get(parameter))
	}
	out := r.Clone(r.Context())
	out.Body = io.NopCloser(bytes.NewReader(sent))
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil || form.Get("code") == "" {
		return resp, err
	}
	c.exchanges++
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var tokens struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
	}
	_ = json.Unmarshal(got, &tokens) // an error has none
	c.secrets.add(tokens.ID)
	c.secrets.add(tokens.Access)
	c.idToken = cmp.Or(tokens.ID, c.idToken)
	if c.forged != nil {
		resp.StatusCode, got = http.StatusOK, []byte(c.forged(string(got)))
		resp.Header.Del("Content-Length")
		resp.ContentLength = int64(len(got))
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	return resp, nil
}

// breaks cuts the wire; nil mends it.
func (c *wire) breaks(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = err
}

// forges replaces the token endpoint's response, with status 200. Nil restores
// it.
func (c *wire) forges(change func(real string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forged = change
}

// seen returns the last ID token, and how many codes were exchanged.
func (c *wire) seen() (idToken string, exchanges int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idToken, c.exchanges
}

// started returns the id of a new session, made without a sign-in.
func (w *world) started(t testing.TB, user string) string {
	t.Helper()
	id := session.NewID()
	w.tokens.add(id.Reveal())
	key, _ := session.KeyOf(id.Reveal())
	customers := map[string]string{alice: alicesID, bob: bobsID}
	_, err := w.store.Start(t.Context(), key, session.Stored{
		User:    clienttoken.User{ID: user, Claims: map[string]any{"dwolla_customer": customers[user]}},
		Subject: user,
	}, session.SignIn{Began: time.Now(), Once: strings.Repeat("once", 4) + id.Reveal()[:10]})
	if err != nil {
		t.Fatal(err)
	}
	return id.Reveal()
}
