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
	"dropgate/internal/tracing"
)

// KeySetConfig says where an identity provider publishes its keys.
type KeySetConfig struct {
	Issuer string
	// URL is the JSON Web Key Set. If empty, each fetch takes it from the
	// discovery document.
	URL string
	// Discovery is the discovery document. If empty, it is at its usual place under
	// Issuer. Another address reaches the provider over a network that browsers cannot
	// use.
	Discovery  string
	Transport  http.RoundTripper
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// KeySet holds the public keys of an identity provider. Run fetches them in the
// background: at once, with back-off until the first success, then every
// refreshInterval. An unknown key in a token triggers a fetch as well, at most
// once per interval of its source (docs/decisions/0005). During an outage the
// last good keys stay.
type KeySet struct {
	config    KeySetConfig
	documents documents
	metadata  *metadataCache
	metrics   keySetMetrics

	current atomic.Pointer[publicKeys] // nil until the first fetch succeeds
	waiters waitLimit                  // requests waiting for a fetch

	// A singleflight.Group does not fit here. A caller may join a fetch and yet
	// be too early to start one, depending on its source, and stop must be able
	// to cancel the fetch.
	mu        sync.Mutex
	fetching  chan struct{}      // closed when the current fetch ends; nil if none runs
	cancel    context.CancelFunc // of the current fetch
	lastFetch time.Time          // start of the last fetch
	fault     error              // of the last fetch, if it failed
	succeeded time.Time          // start of the last successful fetch
	next      time.Time          // when Run fetches again; zero if it does not run
	skipped   []string           // unusable keys of the last document, with reasons
	changed   chan struct{}      // closed when the keys change; nil without a listener
	stopped   bool               // no further fetch starts
}

// tokenSource says where a token came from. Its value is the minimum interval
// between two fetches triggered by such tokens.
type tokenSource time.Duration

const (
	// Anyone can send a token with an arbitrary kid.
	fromAnyone = tokenSource(30 * time.Second)
	// The provider itself issued this ID token for a code. A code works only
	// once, so asking sooner and waiting is worth it.
	fromProvider = tokenSource(2 * time.Second)
	// Run fetches without a token.
	fromRun = tokenSource(0)
)

const (
	refreshInterval = 5 * time.Minute // a withdrawn key stays valid for at most this long
	fetchTimeout    = 5 * time.Second // for discovery and key set together
)

// The bounds of the pause between two fetches until the first success. In
// between, a pause is an eighth of the time since the start.
const (
	minStartPause = 250 * time.Millisecond
	maxStartPause = 10 * time.Second
)

// NewKeySet returns a key set. It is empty until Run or a first token.
func NewKeySet(c KeySetConfig) *KeySet {
	d := newDocuments(c.Transport)
	s := &KeySet{
		config:    c,
		documents: d,
		metadata:  &metadataCache{issuer: c.Issuer, address: c.Discovery, documents: d},
		metrics:   newKeySetMetrics(c.Registerer),
	}
	return s
}

// Run fetches the keys at once and keeps them fresh until ctx ends. After it
// returns, no fetch runs or starts.
func (s *KeySet) Run(ctx context.Context) {
	defer s.stop()
	started := time.Now()
	for from := fromRun; ; {
		if done := s.fetch(from); done != nil && waitFor(ctx, done) != nil {
			return
		}
		from = fromAnyone
		pause := refreshInterval
		if s.current.Load() == nil {
			from = fromRun
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

// Fetch fetches the keys once, for a check of the configuration. It returns the error of
// [KeySet.Missing].
func (s *KeySet) Fetch(ctx context.Context) error {
	if done := s.fetch(fromRun); done != nil {
		if err := waitFor(ctx, done); err != nil {
			return err
		}
	}
	return s.Missing()
}

// startPause returns the pause after trying for so long without success. It
// subtracts up to a tenth, so that replicas spread their fetches.
func startPause(tried time.Duration) time.Duration {
	pause := min(max(tried/8, minStartPause), maxStartPause)
	return pause - rand.N(pause/10) //nolint:gosec // spreads load; guessing it gains nothing
}

// stop cancels the current fetch and prevents others.
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

// ready returns the current keys. Before the first success it waits for a fetch.
// Without keys the error is a *clienttoken.Failure.
func (s *KeySet) ready(ctx context.Context, from tokenSource) (*publicKeys, error) {
	if k := s.current.Load(); k != nil {
		return k, nil
	}
	return s.refreshed(ctx, from)
}

// refreshed returns the keys after a fetch. If it is too early for one, it
// returns the current keys, or waits if the token came from the provider itself.
// Only a bounded number of callers wait, each for at most maxWait.
func (s *KeySet) refreshed(ctx context.Context, from tokenSource) (*publicKeys, error) {
	ctx, span := tracing.Start(ctx, "keys")
	defer span.End()
	done := s.fetch(from)
	if s.waiters.enter() {
		defer s.waiters.leave()
		wait, cancel := context.WithTimeout(ctx, maxWait(from))
		defer cancel()
		if done == nil && from == fromProvider && waitFor(wait, time.After(s.untilAllowed(from))) == nil {
			done = s.fetch(from)
		}
		if done != nil {
			_ = waitFor(wait, done) // after the wait, the current keys must do
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() //nolint:wrapcheck // the caller's own cancellation
		}
	}
	if k := s.current.Load(); k != nil {
		return k, nil
	}
	span.Fail("unavailable")
	return nil, s.unavailable(from, "the identity provider's keys have not been fetched yet")
}

// waitFor waits for done or ctx. The error is that of ctx.
func waitFor[T any](ctx context.Context, done <-chan T) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation
	}
}

// untilAllowed returns the time until this source may trigger a fetch.
func (s *KeySet) untilAllowed(from tokenSource) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(from) - time.Since(s.lastFetch)
}

// unavailable is the failure for a token that has to wait for the next fetch.
func (s *KeySet) unavailable(from tokenSource, reason string) *clienttoken.Failure {
	wait := s.untilAllowed(from)
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

// fetch starts a fetch unless it is too early for this source. It returns a
// channel closed at the end of the current fetch, or nil if none runs. No
// caller's cancellation ends a fetch.
func (s *KeySet) fetch(from tokenSource) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	started := time.Now()
	if s.stopped || s.fetching != nil || started.Sub(s.lastFetch) < time.Duration(from) {
		return s.fetching
	}
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	s.fetching, s.cancel, s.lastFetch = done, cancel, started
	go func() {
		defer close(done)
		defer cancel()
		err := s.update(ctx)
		s.metrics.observe(started, err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fetching = nil
		s.logOutcome(err)
		if err == nil {
			s.succeeded = started
			s.metadata.retryNow()
		}
	}()
	return done
}

// Fault returns the error of the last fetch, or nil.
func (s *KeySet) Fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// Missing returns an error until the first fetch succeeds. A replica without keys
// cannot serve. With old keys it can.
func (s *KeySet) Missing() error {
	if s.current.Load() != nil {
		return nil
	}
	if fault := s.Fault(); fault != nil {
		return fault
	}
	return errors.New("not fetched yet")
}

// lastSuccess returns the start of the last successful fetch, or zero.
func (s *KeySet) lastSuccess() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.succeeded
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

// logOutcome logs the start and the end of an outage. The caller holds mu.
func (s *KeySet) logOutcome(err error) {
	switch {
	case err == nil && s.fault != nil:
		s.config.Logger.Info().Str("issuer", s.config.Issuer).Msg("the identity provider answers again")
	case err != nil && (s.fault == nil || newMisfit(err, s.fault)):
		s.config.Logger.Warn().Err(err).Str("issuer", s.config.Issuer).
			Bool("old_keys", s.current.Load() != nil).
			Msg("fetching the identity provider's keys failed")
	}
	s.fault = err
}

// newMisfit reports whether a fetch failed for a reason that no retry removes, and the
// one before did not.
func newMisfit(err, before error) bool {
	misfit, ok := errors.AsType[*MisfitError](err)
	old, known := errors.AsType[*MisfitError](before)
	return ok && (!known || *old != *misfit)
}

// update downloads the keys and replaces the current ones. An unchanged set keeps
// its generation, and tokenCache relies on that.
func (s *KeySet) update(ctx context.Context) error {
	fresh, err := s.download(ctx)
	if err != nil {
		return err
	}
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

func (s *KeySet) download(ctx context.Context) (*publicKeys, error) {
	url := s.config.URL
	if url == "" {
		m, err := s.metadata.refresh(ctx)
		if err != nil {
			return nil, err
		}
		url = m.JWKSURI
	}
	var document map[string]json.RawMessage
	if err := s.documents.read(ctx, url, &document); err != nil {
		return nil, err
	}
	parsed, err := parseKeys(document, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s %w", withoutQuery(url), err)
	}
	s.logSkipped(parsed.skipped)
	if len(parsed.usable.list) == 0 {
		return nil, fmt.Errorf("%s holds no usable key: %s", withoutQuery(url), truncate(strings.Join(parsed.skipped, "; ")))
	}
	return parsed.usable, nil
}

// logSkipped logs the unusable keys with their reasons, once until they change.
func (s *KeySet) logSkipped(keys []string) {
	s.mu.Lock()
	known := slices.Equal(s.skipped, keys)
	s.skipped = keys
	s.mu.Unlock()
	if !known && len(keys) > 0 {
		s.config.Logger.Info().Str("issuer", s.config.Issuer).Strs("skipped", keys).
			Msg("some of the identity provider's keys are unusable")
	}
}
