package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
// the background: when Run starts, with back-off until the first fetch succeeds,
// then every refreshEvery, and when a token is signed by none of them, but never
// more often than the sender of that token may cause (docs/decisions/0005).
// While the provider is down the last good keys stay.
type KeySet struct {
	config    KeySetConfig
	documents documents
	fetches   *prometheus.CounterVec // outcome

	current atomic.Pointer[keys] // nil until the first fetch succeeds
	waiting waiting              // requests that wait for a fetch

	mu        sync.Mutex
	fetching  chan struct{}      // closed when the fetch under way ends; nil if none is
	cancel    context.CancelFunc // ends the fetch under way
	lastFetch time.Time          // when the last one began
	fault     error              // of the last one, if it failed
	fetched   time.Time          // when the last one that succeeded began
	next      time.Time          // when Run fetches again; zero if it does not run
	skipped   []string           // the keys of the last document that cannot be used
	changed   chan struct{}      // closed when the keys change; nil if nobody waits for it
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
	// Run itself may fetch at any time.
	ownAccord = source(0)
)

const (
	refreshEvery = 5 * time.Minute // the most time for which a withdrawn key is believed
	fetchTimeout = 5 * time.Second // for discovery and key set together
)

// The pauses between two fetches until the first one succeeds. A pause is an
// eighth of the time since the start, within these bounds.
const (
	shortestPause = 250 * time.Millisecond
	longestPause  = 10 * time.Second
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
	started := time.Now()
	for from := ownAccord; ; {
		if done := s.fetch(from); done != nil && waited(ctx, done) != nil {
			return
		}
		from = fromAnybody
		pause := refreshEvery
		if s.current.Load() == nil {
			from = ownAccord
			pause = startPause(time.Since(started))
		}
		s.mu.Lock()
		s.next = time.Now().Add(pause)
		s.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// startPause is the pause before the next fetch when there have been no keys for
// that long. It is up to a tenth shorter, so that replicas spread their fetches.
func startPause(tried time.Duration) time.Duration {
	pause := min(max(tried/8, shortestPause), longestPause)
	return pause - rand.N(pause/10) //nolint:gosec // spreads load; nobody gains by guessing it
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
// returns those at hand, or waits, if the provider itself has given cause. It
// does not wait beside too many others, nor for longer than waitAtMost.
func (s *KeySet) refreshed(ctx context.Context, from source) (*keys, error) {
	done := s.fetch(from)
	if s.waiting.enter() {
		defer s.waiting.leave()
		wait, cancel := context.WithTimeout(ctx, waitAtMost(from))
		defer cancel()
		if done == nil && from == fromProvider && waited(wait, time.After(s.early(from))) == nil {
			done = s.fetch(from)
		}
		if done != nil {
			_ = waited(wait, done) // who waits no longer takes the keys at hand
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() //nolint:wrapcheck // the caller's own cancellation, as it came
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
	wait := s.early(from)
	s.mu.Lock()
	if s.current.Load() == nil && !s.next.IsZero() {
		wait = min(wait, time.Until(s.next))
	}
	s.mu.Unlock()
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: max(wait, time.Second),
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

// Missing says why there have never been keys, or nil once there are. Without
// keys a replica is of no use; one that had keys goes on with them.
func (s *KeySet) Missing() error {
	if s.current.Load() != nil {
		return nil
	}
	if fault := s.Fault(); fault != nil {
		return fault
	}
	return errors.New("not fetched yet")
}

// succeeded is when the last fetch that succeeded began; zero: none has.
func (s *KeySet) succeeded() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetched
}

// nextChange returns a channel that is closed when the keys change.
func (s *KeySet) nextChange() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
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
// cannot be had. A set that did not change keeps its generation, on which
// verifiedTokens relies.
func (s *KeySet) replace(ctx context.Context) error {
	fresh, err := s.download(ctx)
	if err != nil {
		s.fetches.WithLabelValues("failure").Inc()
		return err
	}
	s.fetches.WithLabelValues("success").Inc()
	old := s.current.Load()
	if old != nil && reflect.DeepEqual(old.list, fresh.list) {
		return nil
	}
	if old != nil {
		fresh.generation = old.generation + 1
	}
	s.current.Store(fresh)
	s.config.Logger.Info().Str("issuer", s.config.Issuer).Int("keys", len(fresh.list)).
		Msg("the identity provider has new keys")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
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
	var skipped []string
	for _, raw := range document.Keys {
		k, err := usable(raw)
		if err == nil {
			fresh.list = append(fresh.list, k)
		} else if len(skipped) < maxSkipped {
			skipped = append(skipped, err.Error())
		}
	}
	s.skip(skipped)
	if len(fresh.list) == 0 {
		return nil, fmt.Errorf("%s holds no key that can be used: %s", url, cut(strings.Join(skipped, "; ")))
	}
	return fresh, nil
}

// maxSkipped bounds the skipped keys of one document in the log.
const maxSkipped = 20

// skip logs which keys cannot be used and why, once until they change.
func (s *KeySet) skip(keys []string) {
	s.mu.Lock()
	known := slices.Equal(s.skipped, keys)
	s.skipped = keys
	s.mu.Unlock()
	if !known && len(keys) > 0 {
		s.config.Logger.Info().Str("issuer", s.config.Issuer).Strs("skipped", keys).
			Msg("some of the identity provider's keys cannot be used")
	}
}
