package auth_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

const (
	issuer    = "https://id.example.com"
	audience  = "dropgate"
	cookie    = "app_session"
	discovery = "/.well-known/openid-configuration"
	jwks      = "/keys"
)

// idp is an identity provider without a socket, so that it can be asked inside
// of a synctest bubble. It answers by path, for whatever host.
type idp struct {
	mu      sync.Mutex
	pages   map[string]http.HandlerFunc
	fetches []time.Time // when the first page of a fetch was asked for
	keys    []time.Time // when the key set was
	hosts   []string    // whom the service believed to ask
}

func newIDP(published ...any) *idp {
	p := &idp{pages: map[string]http.HandlerFunc{}}
	p.serve(discovery, document(map[string]any{"issuer": issuer, "jwks_uri": issuer + jwks}))
	p.publish(published...)
	return p
}

// RoundTrip answers as a server would, and as a connection does that is cut
// when the caller's time is over.
func (p *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	if r.URL.Path == discovery {
		p.fetches = append(p.fetches, time.Now())
	}
	if r.URL.Path == jwks {
		p.keys = append(p.keys, time.Now())
	}
	p.hosts = append(p.hosts, r.URL.Host)
	page, known := p.pages[r.URL.Path]
	p.mu.Unlock()
	if !known {
		page = http.NotFound
	}
	w := httptest.NewRecorder()
	page(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func (p *idp) serve(path string, page http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages[path] = page
}

// publish replaces the key set. A key is a jose.JSONWebKey or raw JSON.
func (p *idp) publish(set ...any) {
	p.serve(jwks, document(map[string]any{"keys": set}))
}

func (p *idp) fetched() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.fetches)
}

func (p *idp) fetchedKeys() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.keys)
}

func (p *idp) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.hosts)
}

// Pages that a provider may answer with.

func document(v any) http.HandlerFunc {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text(string(body))
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// after answers with page when d has passed, unless the caller goes before.
func after(d time.Duration, page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			page(w, r)
		case <-r.Context().Done():
		}
	}
}

// public is what a provider publishes of key.
func public(kid string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid}
}

// published is the set of most of these tests: one key of each good kind.
func published() []any {
	return []any{public("rsa", rsaKey()), public("ec", ecKey()), public("ed", edKey())}
}

// world is a bearer mode and the provider that it believes.
type world struct {
	idp      *idp
	registry *prometheus.Registry
	keys     *auth.KeySet
	bearer   *auth.Bearer
}

// newWorld returns a world as the server wires it, with edits to its
// configuration. Nothing has been fetched yet.
func newWorld(p *idp, edits ...func(*auth.BearerConfig, *auth.KeySetConfig)) *world {
	registry := prometheus.NewRegistry()
	bearer := auth.BearerConfig{Issuer: issuer, Audience: audience, Cookie: cookie, UserClaim: "sub"}
	keys := auth.KeySetConfig{Issuer: issuer, Transport: p, Logger: zerolog.Nop(), Registerer: registry}
	for _, edit := range edits {
		edit(&bearer, &keys)
	}
	w := &world{idp: p, registry: registry, keys: auth.NewKeySet(keys)}
	bearer.Keys = w.keys
	w.bearer = auth.NewBearer(bearer)
	return w
}

// run starts the key set in a synctest bubble and waits for its first fetch.
func (w *world) run(t *testing.T) {
	t.Helper()
	go w.keys.Run(t.Context())
	synctest.Wait()
}

// ask shows a token in the Authorization header.
func (w *world) ask(token string) string { return verdict(w.authenticate(context.Background(), token)) }

func (w *world) authenticate(ctx context.Context, token string) (auth.Session, error) {
	return w.bearer.Authenticate(request(ctx, bearer(token)), nil)
}

// want fails t unless the token's verdict is want.
func (w *world) want(t *testing.T, want, token string) {
	t.Helper()
	if got := w.ask(token); got != want {
		t.Errorf("%v after the start: %s, want %s", time.Since(midnight), got, want)
	}
}

// pass lets time go by in a synctest bubble, and everything happen in it.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func request(ctx context.Context, header http.Header) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/client-tokens", http.NoBody)
	r.Header = header
	return r
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func inCookie(token string) http.Header { return http.Header{"Cookie": {cookie + "=" + token}} }

// The verdicts on a credential.
const (
	alice       = "accepted alice"
	aliceCookie = "accepted alice by cookie"
	refused     = "refused"
	ignored     = "ignored" // not of the mode's kind
	unavailable = "unavailable"
)

func verdict(s auth.Session, err error) string {
	if err == nil {
		if s.ByCookie {
			return "accepted " + s.User.ID + " by cookie"
		}
		return "accepted " + s.User.ID
	}
	if s.User.ID != "" || s.User.Claims != nil {
		return "an error and a session of " + s.User.ID
	}
	if rejection, ok := errors.AsType[*auth.Rejection](err); ok {
		if rejection.Mode == "none" {
			return ignored
		}
		return refused
	}
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok && failure.Code == clienttoken.Unavailable {
		return unavailable
	}
	return "error: " + strings.TrimSpace(err.Error())
}
