package auth_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// The client's id and secret need form-urlencoding before Basic (RFC 6749, 2.3.1).
const (
	origin       = "https://app.example.com"
	clientID     = "drop gate:1/é"
	clientSecret = "the+secret/of&the%client:of-these-tests"
	accessToken  = "an-access-token-that-nobody-may-see"
	authorizeAt  = "/authorize"
	tokenAt      = "/token"
	endSessionAt = "/end-session"
	idleTime     = 15 * time.Minute
	lifetime     = 8 * time.Hour
)

// oidcHarness is a mode oidc with its provider and session store.
type oidcHarness struct {
	idp      *idp
	op       *op
	store    *faultyStore
	registry *prometheus.Registry
	keys     *auth.KeySet
	oidc     *auth.OIDC
}

// withOIDC runs a test in synctest with a working harness.
func withOIDC(t *testing.T, test func(*testing.T, *oidcHarness), edits ...func(*auth.OIDCConfig)) {
	t.Helper()
	rsaKey()
	synctest.Test(t, func(t *testing.T) { test(t, newOIDCHarness(edits...)) })
}

// eachOIDC runs a test per case, each with its own harness.
func eachOIDC[C any](t *testing.T, cases map[string]C, test func(*testing.T, *oidcHarness, C), edits ...func(*auth.OIDCConfig)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) { test(t, w, c) }, edits...)
		})
	}
}

func newOIDCHarness(edits ...func(*auth.OIDCConfig)) *oidcHarness {
	w := &oidcHarness{
		idp:      newIDP(published()...),
		op:       &op{grants: map[string]*grant{}},
		store:    &faultyStore{Store: session.NewMemory(session.Limits{Idle: idleTime, Lifetime: lifetime, Now: time.Now})},
		registry: prometheus.NewRegistry(),
	}
	w.serveMetadata(nil)
	w.idp.serve(tokenAt, w.op.token)
	w.keys = w.newKeySet(w.registry)
	w.op.addSecrets(clientSecret, url.QueryEscape(clientSecret), accessToken)
	w.oidc = w.replica(w.registry, edits...)
	return w
}

// newKeySet returns an empty key set. It has a URL of its own, so each fetch of the
// discovery document belongs to a sign-in.
func (w *oidcHarness) newKeySet(r prometheus.Registerer) *auth.KeySet {
	return auth.NewKeySet(auth.KeySetConfig{
		Issuer: issuer, URL: issuer + jwks, Transport: w.idp, Logger: zerolog.Nop(), Registerer: r,
	})
}

// replica returns the mode of another process.
func (w *oidcHarness) replica(r prometheus.Registerer, edits ...func(*auth.OIDCConfig)) *auth.OIDC {
	config := auth.OIDCConfig{
		Issuer: issuer, ClientID: clientID, ClientSecret: clienttoken.NewSecret(clientSecret),
		Scopes: []string{"openid", "email"}, UserClaim: "sub", Origin: origin, BasePath: "/dropgate",
		AllowedOrigins: []string{"https://shop.example.com"}, SameSite: http.SameSiteStrictMode,
		Sessions: w.store, Keys: w.keys, Transport: w.idp, Registerer: r,
	}
	for _, edit := range edits {
		edit(&config)
	}
	return auth.NewOIDC(config)
}

// serveMetadata serves the discovery document, with edits.
func (w *oidcHarness) serveMetadata(edits object) {
	w.idp.serve(discovery, document(edited(object{
		"issuer": issuer, "jwks_uri": issuer + jwks, "authorization_endpoint": issuer + authorizeAt,
		"token_endpoint": issuer + tokenAt, "end_session_endpoint": issuer + endSessionAt,
		"authorization_response_iss_parameter_supported": true,
	}, edits)))
}

// restart replaces the mode and its keys with fresh ones.
func (w *oidcHarness) restart() {
	w.keys = w.newKeySet(prometheus.NewRegistry())
	w.oidc = w.replica(prometheus.NewRegistry())
}

// grant is the provider's record of a code.
type grant struct {
	redirect, challenge, nonce string
	used                       bool
}

// op is the provider's side of a sign-in.
type op struct {
	mu      sync.Mutex
	grants  map[string]*grant
	lax     bool                      // accepts a code twice
	idToken func(nonce string) string // replaces a good one for alice
	secrets []string                  // no error may hold them
	client  func(*http.Request) bool  // replaces client_secret_basic
}

// proves reports whether a request proves the client's identity. It has parsed its form.
func (p *op) proves(r *http.Request) bool {
	if p.client != nil {
		return p.client(r)
	}
	id, secret, basic := r.BasicAuth()
	return basic && id == url.QueryEscape(clientID) && secret == url.QueryEscape(clientSecret) && !r.PostForm.Has("client_secret")
}

// addSecrets adds texts no error may hold.
func (p *op) addSecrets(secrets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets = append(p.secrets, secrets...)
}

// authorize signs the user in at the provider, and returns the callback's query.
func (p *op) authorize(at *url.URL) url.Values {
	query := at.Query()
	code := fmt.Sprintf("code-of-the-provider-%x", sha256.Sum256([]byte(query.Get("state"))))
	p.addSecrets(code, query.Get("state"), query.Get("nonce"))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants[code] = &grant{redirect: query.Get("redirect_uri"), challenge: query.Get("code_challenge"), nonce: query.Get("nonce")}
	return url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {issuer}}
}

// token is the token endpoint, as strict as the standards allow.
func (p *op) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	verifier := r.PostForm.Get("code_verifier")
	p.addSecrets(verifier)
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method != http.MethodPost || !p.proves(r) || r.URL.RawQuery != "" || r.PostForm.Get("grant_type") != "authorization_code" {
		withStatusAnd(http.StatusUnauthorized, `{"error":"invalid_client"}`)(w, r)
		return
	}
	granted := p.grants[r.PostForm.Get("code")]
	sum := sha256.Sum256([]byte(verifier))
	if granted == nil || granted.used && !p.lax || r.PostForm.Get("redirect_uri") != granted.redirect || encoded(string(sum[:])) != granted.challenge {
		withStatusAnd(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"`+accessToken+`"}`)(w, r)
		return
	}
	granted.used = true
	idToken := p.idToken
	if idToken == nil {
		idToken = func(nonce string) string { return idTokenOf(object{"nonce": nonce}) }
	}
	answerTokens(idToken(granted.nonce))(w, r)
}

func answerTokens(idToken any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		document(edited(object{"access_token": accessToken, "token_type": "Bearer", "expires_in": 60}, object{"id_token": idToken}))(w, r)
	}
}

// idClaims returns claims of alice, valid for five minutes.
func idClaims(edits object) object {
	return edited(object{
		"iss": issuer, "aud": clientID, "sub": "alice", "sid": "alices-session-at-the-provider",
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
	}, edits)
}

// merged applies the second edits after the first.
func merged(first, second object) object {
	all := maps.Clone(first)
	maps.Copy(all, second)
	return all
}

func idTokenOf(edits object) string {
	return sign(rsaKey(), header(object{"typ": "JWT"}), idClaims(edits))
}

// answers makes the provider issue ID tokens with edited claims. The nonce is
// right unless edited.
func (p *op) answers(edits object) {
	p.tokens(func(nonce string) string { return idTokenOf(merged(object{"nonce": nonce}, edits)) })
}

func (p *op) tokens(idToken func(nonce string) string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idToken = func(nonce string) string {
		token := idToken(nonce)
		if len(token) > 0 {
			p.secrets = append(p.secrets, token)
		}
		return token
	}
}

func (p *op) acceptsCodesTwice() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lax = true
}

// allSecrets returns the secrets so far.
func (p *op) allSecrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.secrets)
}

// faultyStore is a store with injected outages. Like Redis, it gives up after a
// cancellation.
type faultyStore struct {
	session.Store

	mu   sync.Mutex
	fail map[string]bool // failing operations
	log  []string        // calls so far
}

func (s *faultyStore) failOn(operations ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = map[string]bool{}
	for _, operation := range operations {
		s.fail[operation] = true
	}
}

func (s *faultyStore) asked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, " ")
}

func (s *faultyStore) check(ctx context.Context, operation string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, operation)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.fail[operation] {
		return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: 5 * time.Second, Err: errors.New("the store is down")}
	}
	return nil
}

// Start implements session.Store.
func (s *faultyStore) Start(ctx context.Context, key session.Key, v session.Stored, by session.SignIn) (session.Ended, error) {
	if err := s.check(ctx, "start"); err != nil {
		return session.Ended{}, err
	}
	return s.Store.Start(ctx, key, v, by)
}

// Find implements session.Store.
func (s *faultyStore) Find(ctx context.Context, key session.Key, effect session.Touch, charge *ratelimit.Charge) (session.Stored, error) {
	if err := s.check(ctx, "find"); err != nil {
		return session.Stored{}, err
	}
	return s.Store.Find(ctx, key, effect, charge)
}

// End implements session.Store.
func (s *faultyStore) End(ctx context.Context, which session.Selector) ([]session.Stored, error) {
	if err := s.check(ctx, "end"); err != nil {
		return nil, err
	}
	return s.Store.End(ctx, which)
}
