package auth_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
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

// idp is an identity provider without a socket, so it works inside synctest. It
// answers by path, for any host.
type idp struct {
	mu      sync.Mutex
	pages   map[string]http.HandlerFunc
	fetches []time.Time // requests for the discovery document
	keys    []time.Time // requests for the key set
	hosts   []string    // requested hosts
}

func newIDP(published ...any) *idp {
	p := &idp{pages: map[string]http.HandlerFunc{}}
	p.serve(discovery, document(map[string]any{"issuer": issuer, "jwks_uri": issuer + jwks}))
	p.publish(published...)
	return p
}

// RoundTrip answers like a server, and like a broken connection after the caller's
// deadline.
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

// Pages of a provider.

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

// after answers with page after d, unless the caller leaves first.
func after(d time.Duration, page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			page(w, r)
		case <-r.Context().Done():
		}
	}
}

// public returns the published form of key.
func public(kid string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid}
}

// published returns one key of each accepted kind.
func published() []any {
	return []any{public("rsa", rsaKey()), public("ec", ecKey()), public("ed", edKey())}
}

// harness is a bearer mode with its provider.
type harness struct {
	idp      *idp
	registry *prometheus.Registry
	keys     *auth.KeySet
	bearer   *auth.Bearer
}

// newHarness wires a mode like the server, with edits to its configuration. It
// fetches nothing yet.
func newHarness(p *idp, edits ...func(*auth.BearerConfig, *auth.KeySetConfig)) *harness {
	registry := prometheus.NewRegistry()
	bearer := auth.BearerConfig{Issuer: issuer, Audience: audience, Cookie: cookie, UserClaim: "sub"}
	keys := auth.KeySetConfig{Issuer: issuer, Transport: p, Logger: zerolog.Nop(), Registerer: registry}
	for _, edit := range edits {
		edit(&bearer, &keys)
	}
	w := &harness{idp: p, registry: registry, keys: auth.NewKeySet(keys)}
	bearer.Keys = w.keys
	w.bearer = auth.NewBearer(bearer)
	return w
}

// run starts the key set in synctest and waits for its first fetch.
func (w *harness) run(t *testing.T) {
	t.Helper()
	go w.keys.Run(t.Context())
	synctest.Wait()
}

// ask authenticates with the token in the Authorization header.
func (w *harness) ask(token string) string {
	return verdict(w.authenticate(context.Background(), token))
}

func (w *harness) authenticate(ctx context.Context, token string) (auth.Session, error) {
	return w.bearer.Authenticate(request(ctx, bearer(token)), nil)
}

// want checks the verdict on the token.
func (w *harness) want(t *testing.T, want, token string) {
	t.Helper()
	if got := w.ask(token); got != want {
		t.Errorf("%v after the start: %s, want %s", time.Since(midnight), got, want)
	}
}

// advance lets time pass in synctest, and waits for its effects.
func advance(d time.Duration) {
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
	ignored     = "ignored" // no credential of the mode's kind
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

// attempt is one request with its expected verdict. Tables of attempts fit any
// mode: other modes ignore bearer tokens.
type attempt struct {
	name   string
	header http.Header
	want   string // alice, refused, ignored, …
}

// challenges holds each mode's WWW-Authenticate header.
var challenges = map[string]string{
	"bearer": `Bearer realm="dropgate", error="invalid_token"`,
	"none":   `Bearer realm="dropgate"`,
}

// runAttempts makes every attempt on a fresh mode in a chain, at midnight. Each
// runs twice, since a cache must not change the verdict.
func runAttempts(t *testing.T, newMode func(*testing.T) auth.Mode, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chain := auth.NewChain(prometheus.NewRegistry(), newMode(t))
				for range 2 {
					session, err := chain.Authenticate(request(t.Context(), a.header), nil)
					if got := verdict(session, err); got != a.want {
						t.Errorf("%s (%v), want %s", got, err, a.want)
					}
					checkRejection(t, err, a.header)
				}
			})
		})
	}
}

// checkRejection checks the challenge, and that the error holds no credential.
func checkRejection(t *testing.T, err error, header http.Header) {
	t.Helper()
	if err == nil {
		return
	}
	rejection, ok := err.(*auth.Rejection) //nolint:errorlint // the type itself is the promise
	if !ok {
		t.Fatalf("a %T, want a *auth.Rejection: %v", err, err)
	}
	if want := challenges[rejection.Mode]; rejection.Challenge != want {
		t.Errorf("challenge %s, want %s", rejection.Challenge, want)
	}
	checkNoSecret(t, err, slices.Concat(header["Authorization"], header["Cookie"])...)
}

// checkNoSecret fails if the error holds a piece of a credential.
func checkNoSecret(t *testing.T, err error, credentials ...string) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, credential := range credentials {
		for _, piece := range strings.FieldsFunc(credential, func(r rune) bool { return strings.ContainsRune(" .;=", r) }) {
			if len(piece) >= 16 && strings.Contains(said, piece) {
				t.Errorf("the error holds %q of the credential: %s", piece, said)
			}
		}
	}
}

// bearerMode returns a mode with the published keys, and edits. It may only ask
// the provider.
func bearerMode(edits ...func(*auth.BearerConfig, *auth.KeySetConfig)) func(*testing.T) auth.Mode {
	return bearerModeWith(published(), edits...)
}

func bearerModeWith(set []any, edits ...func(*auth.BearerConfig, *auth.KeySetConfig)) func(*testing.T) auth.Mode {
	return func(t *testing.T) auth.Mode {
		t.Helper()
		w := newHarness(newIDP(set...), edits...)
		w.run(t)
		t.Cleanup(func() {
			if hosts := slices.Compact(w.idp.asked()); !slices.Equal(hosts, []string{"id.example.com"}) {
				t.Errorf("keys were asked of %q", hosts)
			}
		})
		return w.bearer
	}
}

// runSynctest runs a subtest in synctest.
func runSynctest(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}
