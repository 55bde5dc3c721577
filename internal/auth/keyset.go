package auth

import (
	"context"
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
// signed by none of them, but never more often than whoever showed it may cause
// (docs/decisions/0005). While the provider is down the last good keys stay.
type KeySet struct {
	config    KeySetConfig
	documents documents
	fetches   *prometheus.CounterVec // outcome

	current atomic.Pointer[keys] // nil until the first fetch succeeds

	mu        sync.Mutex
	fetching  chan struct{}      // closed when the fetch under way ends; nil if none is
	cancel    context.CancelFunc // ends the fetch under way
	lastFetch time.Time          // when the last one began
	fault     error              // of the last one, if it failed
	fetched   time.Time          // when the last one that succeeded began
	stopped   bool               // none starts any more
}

// source is who shows a token. It is the least time between two fetches that
// such a token may cause.
type source time.Duration

const (
	// Anybody may send what looks like a token, and name any key.
	fromAnybody = source(30 * time.Second)
	// The provider itself has handed an ID token over, in exchange for a code
	// that is good once: that is worth asking sooner, and waiting for.
	fromProvider = source(2 * time.Second)
)

const (
	refreshEvery = 5 * time.Minute // the most time for which a withdrawn key is believed
	fetchTimeout = 5 * time.Second // for discovery and key set together
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
		if _, err := s.refreshed(ctx, fromAnybody); err != nil {
			wait = time.Duration(fromAnybody)
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
func (s *KeySet) get(ctx context.Context, from source) (*keys, error) {
	if k := s.current.Load(); k != nil {
		return k, nil
	}
	return s.refreshed(ctx, from)
}

// refreshed returns the keys after a fetch. When it is too early for one it
// returns those at hand, or waits, if the provider itself has given cause.
func (s *KeySet) refreshed(ctx context.Context, from source) (*keys, error) {
	done := s.fetch(from)
	if done == nil && from == fromProvider {
		if err := waited(ctx, time.After(s.early(from))); err != nil {
			return nil, err
		}
		done = s.fetch(from)
	}
	if done != nil {
		if err := waited(ctx, done); err != nil {
			return nil, err
		}
	}
	if k := s.current.Load(); k != nil {
		return k, nil
	}
	return nil, s.outage(from, "the identity provider's keys have not been fetched yet")
}

// waited waits for done. The error is that of ctx.
func waited[T any](ctx context.Context, done <-chan T) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation, as it came
	}
}

// early is how much too early it is for a fetch.
func (s *KeySet) early(from source) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(from) - time.Since(s.lastFetch)
}

// outage says that a token cannot be checked before the next fetch.
func (s *KeySet) outage(from source, reason string) *clienttoken.Failure {
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: max(s.early(from), time.Second),
		Err:        errors.New(reason),
	}
}

// fetch starts a fetch unless it is too early for one, and returns a channel
// that is closed when the fetch under way ends. The fetch belongs to nobody: it
// goes on when whoever asked for it has gone.
func (s *KeySet) fetch(from source) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	if s.stopped || s.fetching != nil || began.Sub(s.lastFetch) < time.Duration(from) {
		return s.fetching
	}
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	s.fetching, s.cancel, s.lastFetch = done, cancel, began
	go func() {
		defer close(done)
		defer cancel()
		err := s.replace(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fetching = nil
		s.tell(err)
		if err == nil {
			s.fetched = began
		}
	}()
	return done
}

// Fault is why the last fetch failed, or nil.
func (s *KeySet) Fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// tell writes a line when the provider goes away, and one when it is there
// again. The caller holds mu.
func (s *KeySet) tell(err error) {
	switch {
	case err == nil && s.fault != nil:
		s.config.Logger.Info().Str("issuer", s.config.Issuer).Msg("the identity provider answers again")
	case err != nil && s.fault == nil:
		s.config.Logger.Warn().Err(err).Str("issuer", s.config.Issuer).
			Bool("old_keys", s.current.Load() != nil).
			Msg("fetching the identity provider's keys failed")
	}
	s.fault = err
}

// replace puts the provider's keys in the place of the old ones, unless they
// cannot be had. A set that did not change stays the same pointer, on which
// verifiedTokens relies.
func (s *KeySet) replace(ctx context.Context) error {
	fresh, err := s.download(ctx)
	if err != nil {
		s.fetches.WithLabelValues("failure").Inc()
		return err
	}
	s.fetches.WithLabelValues("success").Inc()
	if old := s.current.Load(); old == nil || !reflect.DeepEqual(old, fresh) {
		s.current.Store(fresh)
		s.config.Logger.Info().Str("issuer", s.config.Issuer).Int("keys", len(fresh.list)).
			Msg("the identity provider has new keys")
	}
	return nil
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

// errKeysNotFresh is a token whose key is not known, while nobody can say
// whether it is a new one: it is too early to ask, or the provider is down.
var errKeysNotFresh = errors.New("signed by a key that is not known, and the provider's keys could not be fetched anew")

// verify checks that one of the keys signed a token of one of the types, in
// lower case and without "application/"; "" is a token that names none. The
// error is invalid, errKeysNotFresh, or that of get.
func (s *KeySet) verify(ctx context.Context, token string, from source, types ...string) (verified, error) {
	asked := time.Now()
	at, err := s.get(ctx, from)
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
		// The key may be new, or another one under the old name. That is rare,
		// and not worth waiting for.
		old := at
		if at.name(header) {
			from = fromAnybody
		}
		if at, err = s.refreshed(ctx, from); err != nil {
			return verified{}, err
		}
		if at != old {
			v, ok = at.open(signed)
		}
	}
	if !ok && !at.name(header) && s.fetchedBefore(asked) {
		return verified{}, fmt.Errorf("%w (kid %.40q, alg %s)", errKeysNotFresh, header.KeyID, header.Algorithm)
	}
	if !ok {
		return verified{}, invalid(fmt.Sprintf("signed by none of the provider's keys (kid %.40q, alg %s)", header.KeyID, header.Algorithm))
	}
	return v, nil
}

// fetchedBefore reports whether all the provider's answers are to questions of
// before then.
func (s *KeySet) fetchedBefore(then time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched.Before(then)
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
