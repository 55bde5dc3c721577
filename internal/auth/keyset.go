package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

// KeySetConfig says where an identity provider publishes its keys.
type KeySetConfig struct {
	Issuer string
	// URL of the JSON Web Key Set; empty: the provider's OpenID discovery
	// document under Issuer tells it, anew at each fetch.
	URL        string
	Transport  http.RoundTripper
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// KeySet holds the public keys of an identity provider. They are fetched in
// the background: when Run starts, every refreshEvery, and when a token is
// signed by none of them, but never twice within fetchEvery, whatever arrives.
// While the provider is down the last good keys stay.
type KeySet struct {
	config    KeySetConfig
	documents documents
	fetches   *prometheus.CounterVec // outcome

	current atomic.Pointer[keys] // nil until the first fetch succeeds

	mu        sync.Mutex
	fetching  chan struct{}      // closed when the fetch under way ends; nil if none is
	cancel    context.CancelFunc // ends the fetch under way
	nextFetch time.Time          // none starts before this
	stopped   bool               // none starts any more
}

const (
	fetchEvery   = 30 * time.Second // the least time between two fetches
	refreshEvery = 5 * time.Minute  // the most time for which a withdrawn key is believed
	fetchTimeout = 5 * time.Second  // for discovery and key set together
)

// NewKeySet returns a key set that is empty until Run.
func NewKeySet(c KeySetConfig) *KeySet {
	s := &KeySet{
		config:    c,
		documents: newDocuments(c.Transport),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_jwks_refresh_total",
			Help: "Fetches of the identity provider's keys by outcome: success or failure.",
		}, []string{"outcome"}),
	}
	c.Registerer.MustRegister(s.fetches)
	return s
}

// Run fetches the keys at once and keeps them fresh until ctx ends. When it
// returns no fetch is under way and none will be.
func (s *KeySet) Run(ctx context.Context) {
	defer s.stop()
	for {
		wait := refreshEvery
		if _, err := s.refreshed(ctx); err != nil {
			wait = fetchEvery
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the fetch under way and starts no other.
func (s *KeySet) stop() {
	s.mu.Lock()
	s.stopped = true
	done, cancel := s.fetching, s.cancel
	s.mu.Unlock()
	if done != nil {
		cancel()
		<-done
	}
}

// get returns the keys at hand, waiting for the first fetch if there has been
// none. Without keys nobody can be told apart: that is a *clienttoken.Failure.
func (s *KeySet) get(ctx context.Context) (*keys, error) {
	if k := s.current.Load(); k != nil {
		return k, nil
	}
	return s.refreshed(ctx)
}

// refreshed returns the keys after a fetch, or those at hand when it is too
// early for one.
func (s *KeySet) refreshed(ctx context.Context) (*keys, error) {
	if done := s.fetch(); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err() //nolint:wrapcheck // the caller's own cancellation, as it came
		}
	}
	if k := s.current.Load(); k != nil {
		return k, nil
	}
	s.mu.Lock()
	wait := time.Until(s.nextFetch)
	s.mu.Unlock()
	return nil, &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: max(wait, time.Second),
		Err:        errors.New("the identity provider's keys have not been fetched yet"),
	}
}

// fetch starts a fetch unless it is too early for one, and returns a channel
// that is closed when the fetch under way ends. The fetch belongs to nobody: it
// goes on when whoever asked for it has gone.
func (s *KeySet) fetch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.fetching != nil || time.Now().Before(s.nextFetch) {
		return s.fetching
	}
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	s.fetching, s.cancel, s.nextFetch = done, cancel, time.Now().Add(fetchEvery)
	go func() {
		defer close(done)
		defer cancel()
		s.replace(ctx)
		s.mu.Lock()
		s.fetching = nil
		s.mu.Unlock()
	}()
	return done
}

// replace puts the provider's keys in the place of the old ones, if they can
// be had and are others: a set that did not change stays the same pointer, on
// which verifiedTokens relies.
func (s *KeySet) replace(ctx context.Context) {
	fresh, err := s.download(ctx)
	if err != nil {
		s.fetches.WithLabelValues("failure").Inc()
		s.config.Logger.Warn().Err(err).Str("issuer", s.config.Issuer).
			Bool("old_keys", s.current.Load() != nil).
			Msg("fetching the identity provider's keys failed")
		return
	}
	s.fetches.WithLabelValues("success").Inc()
	if old := s.current.Load(); old == nil || !reflect.DeepEqual(old, fresh) {
		s.current.Store(fresh)
		s.config.Logger.Info().Str("issuer", s.config.Issuer).Int("keys", len(fresh.list)).
			Msg("the identity provider has new keys")
	}
}

func (s *KeySet) download(ctx context.Context) (*keys, error) {
	url := s.config.URL
	if url == "" {
		provider, err := s.documents.discover(ctx, s.config.Issuer)
		if err != nil {
			return nil, err
		}
		url = provider.JWKSURI
	}
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.documents.read(ctx, url, &document); err != nil {
		return nil, err
	}
	fresh := &keys{}
	for _, raw := range document.Keys {
		if k, ok := usable(raw); ok {
			fresh.list = append(fresh.list, k)
		}
	}
	if len(fresh.list) == 0 {
		return nil, fmt.Errorf("%s holds no key that can be used", url)
	}
	return fresh, nil
}

// keys are the keys of one document. They are never changed, so a pointer
// stands for a set.
type keys struct{ list []key }

type key struct {
	id         string
	algorithms []string // the signatures it may verify
	public     any      // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// usable reads one key. A document may hold keys for other purposes, of kinds
// that this service does not know, or too weak: they are passed over, so that
// one of them does not cost the others.
func usable(raw json.RawMessage) (key, bool) {
	var k jose.JSONWebKey
	if k.UnmarshalJSON(raw) != nil || !k.Valid() || k.Use != "" && k.Use != "sig" {
		return key{}, false
	}
	var fitting []string
	switch public := k.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 {
			fitting = []string{string(jose.RS256), string(jose.PS256)}
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			fitting = []string{string(jose.ES256)}
		}
	case ed25519.PublicKey:
		fitting = []string{string(jose.EdDSA)}
	}
	if k.Algorithm != "" {
		fitting = slices.DeleteFunc(fitting, func(a string) bool { return a != k.Algorithm })
	}
	return key{id: k.KeyID, algorithms: fitting, public: k.Key}, len(fitting) > 0
}

// claims are what a token says, once its signature has been verified.
type claims struct {
	standard jwt.Claims
	all      map[string]any
}

// invalid is what is wrong with a token.
type invalid string

func (i invalid) Error() string { return string(i) }

// verified is a token whose signature is good.
type verified struct {
	claims  claims
	payload json.RawMessage // the claims, as they were signed
	keys    *keys           // that it was verified with
}

// maxTokenLength bounds what is parsed, in bytes.
const maxTokenLength = 8 << 10

// algorithms are the signatures that are accepted: asymmetric ones only, so
// that a public key can never be used as a secret.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}
}

// verify checks that one of the keys signed a token of one of the types, in
// lower case and without "application/"; "" is a token that names none. The
// error is invalid, or that of get.
func (s *KeySet) verify(ctx context.Context, token string, types ...string) (verified, error) {
	at, err := s.get(ctx)
	if err != nil {
		return verified{}, err
	}
	if len(token) > maxTokenLength {
		return verified{}, invalid("token is too long")
	}
	signed, err := jwt.ParseSigned(token, algorithms())
	if err != nil || !spelledAsSigned(token) {
		return verified{}, invalid("not a token with an accepted algorithm")
	}
	header := signed.Headers[0] // the compact form has exactly one
	if typ := typeOf(header); !slices.Contains(types, typ) {
		return verified{}, invalid(fmt.Sprintf("token of type %.40q", typ))
	}
	v, ok := at.open(signed)
	if !ok {
		// The key may be new, or another one under the old name.
		old := at
		if at, err = s.refreshed(ctx); err != nil {
			return verified{}, err
		}
		if at != old {
			v, ok = at.open(signed)
		}
	}
	if !ok {
		return verified{}, invalid(fmt.Sprintf("signed by none of the provider's keys (kid %.40q, alg %s)", header.KeyID, header.Algorithm))
	}
	return v, nil
}

// spelledAsSigned refuses other spellings of a good token, so that nobody can
// make several tokens of one: base64 decoders skip line breaks and the bits of
// a last character that say nothing.
func spelledAsSigned(token string) bool {
	strict := base64.RawURLEncoding.Strict()
	for part := range strings.SplitSeq(token, ".") {
		if _, err := strict.DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return false
		}
	}
	return true
}

// typeOf is what a token is for: the same provider signs others for other
// purposes.
func typeOf(header jose.Header) string {
	given, present := header.ExtraHeaders[jose.HeaderType]
	if !present {
		return ""
	}
	return strings.TrimPrefix(strings.ToLower(fmt.Sprint(given)), "application/")
}

// open returns what a token says that one of the keys signed.
func (k *keys) open(token *jwt.JSONWebToken) (verified, bool) {
	v := verified{keys: k}
	for _, public := range k.fitting(token.Headers[0]) {
		if token.Claims(public, &v.claims.standard, &v.claims.all, &v.payload) == nil {
			return v, true
		}
	}
	return verified{}, false
}

// fitting returns the public keys that may have signed a token with that
// header. A token that names no key must leave no choice: trying all of them
// would let strangers multiply our work (OpenID Connect Core, 10.1).
func (k *keys) fitting(header jose.Header) []any {
	var found []any
	for _, key := range k.list {
		if slices.Contains(key.algorithms, header.Algorithm) && (header.KeyID == "" || header.KeyID == key.id) {
			found = append(found, key.public)
		}
	}
	if header.KeyID == "" && len(found) > 1 {
		return nil
	}
	return found
}
