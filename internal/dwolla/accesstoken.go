package dwolla

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"dropgate/internal/clienttoken"
	"dropgate/internal/httpbody"
	"dropgate/internal/rotation"
)

// accessToken is the application's own token. The zero value has expired.
type accessToken struct {
	secret  clienttoken.Secret
	renew   time.Time // when to fetch a new one in the background
	expires time.Time // when to stop using it
}

// accessTokens keeps the application's access token. After the first fetch it
// renews the token in the background, at four fifths of its life, and retries
// failed fetches with back-off. Dwolla issues no refresh tokens.
//
// Callers without a valid token share a single flight. The fetch has a context of
// its own, so a caller who leaves does not fail the others.
type accessTokens struct {
	fetch   func() (*accessToken, *Error)
	secrets *rotation.Secret // of the application
	jitter  func(most time.Duration) time.Duration
	log     zerolog.Logger
	metrics *metrics
	flight  singleflight.Group
	// fetching lets close wait for fetches. Add only under mu, and only while timer
	// is not nil.
	fetching sync.WaitGroup
	cancel   context.CancelFunc // ends a fetch under way
	rejected atomic.Int64       // consecutive tokens Dwolla rejected without accepting one

	mu       sync.Mutex
	current  *accessToken // expired if there is none
	timer    *time.Timer  // renews in the background; nil once closed
	failures int          // in a row
	logged   string       // the last fault logged as an error
	rejects  rejectedTokens
	failure  *clienttoken.Failure // of the last fetch, for callers before retryAt
	retryAt  time.Time            // no fetch before this
	// Each change of the application's secret counts. The token in use may be older.
	rotations, fetchedIn int
}

// assumedLife applies to an access token without a lifetime. longestLife caps the
// lifetime.
const (
	assumedLife = 5 * time.Minute
	longestLife = 24 * time.Hour
)

// maxBackOff is the longest pause between failed fetches. The pause starts at a
// second and doubles, minus up to half at random to spread replicas. A 429 has its
// own pause.
const maxBackOff = 10 * time.Second

func newAccessTokens(c Config, transport http.RoundTripper, m *metrics) *accessTokens {
	h := &http.Client{
		Transport: httpbody.Buffer(transport, maxBody),
		// A redirect would send the application's secret elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &accessTokens{current: &accessToken{}, jitter: upTo, log: c.Logger, metrics: m, cancel: cancel}
	s.timer = time.AfterFunc(longestLife, func() { s.flight.DoChan("", s.renewed) })
	s.timer.Stop()
	s.secrets = rotation.New(c.ClientSecret)
	fetch := func(secret clienttoken.Secret) (*accessToken, *Error) {
		credentials := &clientcredentials.Config{
			ClientID:     c.ClientID,
			ClientSecret: secret.Reveal(),
			TokenURL:     c.API.Root() + "/token",
			AuthStyle:    oauth2.AuthStyleInHeader, // documented by Dwolla; detection would cost a failed request
		}
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, h), c.Timeout)
		defer cancel()
		start := time.Now()
		token, err := credentials.Token(ctx)
		fault := tokenFault(ctx, err)
		m.observe(ctx, opToken, time.Since(start), fault)
		if fault != nil {
			return nil, fault
		}
		life := assumedLife
		// clientcredentials fills in Expiry, and leaves ExpiresIn zero.
		if left := time.Until(token.Expiry); left > 0 {
			life = min(left, longestLife)
		}
		return &accessToken{
			secret:  clienttoken.NewSecret(token.AccessToken),
			renew:   start.Add(life / 5 * 4),
			expires: start.Add(life),
		}, nil
	}
	s.fetch = func() (*accessToken, *Error) { return s.tryEach(fetch) }
	return s
}

// tokenFault converts the error of a fetch. x/oauth2 puts the whole response body
// into its error text, so that text is dropped.
func tokenFault(ctx context.Context, err error) *Error {
	if err == nil {
		return nil
	}
	fault := &Error{Operation: opToken}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		fault.readHead(refused.Response)
		fault.read(refused.Body)
		if fault.Status/100 == 2 {
			fault.Err = errNoToken
		}
		return fault
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		fault.Err = httpbody.RedactError(err)
	} else if fault.Err = ctx.Err(); fault.Err == nil {
		fault.Err = errNoToken // x/oauth2 could not read the answer
	}
	return fault
}

// close stops the background work and waits for its end, so nothing is logged
// afterwards. A valid token stays usable.
func (s *accessTokens) close() {
	s.mu.Lock()
	if s.timer != nil { // the first time
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	s.cancel()
	s.fetching.Wait()
}

// getBefore is get with a deadline.
func (s *accessTokens) getBefore(ctx context.Context, deadline time.Time) (*accessToken, error) {
	s.mu.Lock()
	token := s.current
	s.mu.Unlock()
	if time.Now().Before(token.expires) { // the usual case, without a timer
		return token, nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return s.get(ctx)
}

// get returns a valid token, and waits for one until ctx ends. The error is a
// *clienttoken.Failure or ctx's.
func (s *accessTokens) get(ctx context.Context) (*accessToken, error) {
	s.mu.Lock()
	token, retryAt, failure := s.current, s.retryAt, s.failure
	s.mu.Unlock()
	now := time.Now()
	if now.Before(token.expires) {
		return token, nil
	}
	if left := retryAt.Sub(now); left > 0 {
		s.metrics.reject(noAccessToken)
		return nil, later(failure, left)
	}
	select {
	case result := <-s.flight.DoChan("", s.renewed):
		token, _ := result.Val.(*accessToken) // always one
		return token, result.Err
	case <-ctx.Done():
		return nil, callersOwn(ctx)
	}
}

// later converts the last fetch's failure for a caller who arrives during the
// back-off. It becomes Unavailable, as for an open circuit, except that a refused
// application stays refused: waiting does not help there.
func later(failure *clienttoken.Failure, left time.Duration) *clienttoken.Failure {
	f := *failure
	fault, ok := errors.AsType[*Error](f.Err)
	if !ok || !fault.refused() || f.Code == clienttoken.Unavailable {
		f.Code, f.RetryAfter = clienttoken.Unavailable, max(left, faultFor)
	}
	return &f
}

// state is the circuit state of /token: open during the back-off, then half-open
// until the next fetch ends.
func (s *accessTokens) state() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stateUntil(s.retryAt)
}

// mostRejected is how many tokens in a row may be rejected without back-off: one
// for each of a call's two attempts.
const mostRejected = 2

// discard forgets a rejected token, and reports whether this caller was the first
// to do so. After mostRejected rejections /token backs off, or each call would
// fetch a token.
func (s *accessTokens) discard(token *accessToken, fault *Error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != token {
		return false
	}
	s.current = &accessToken{}
	if s.rejected.Add(1) > mostRejected && s.timer != nil {
		s.failed(fault)
	} else if s.timer != nil && s.rejects.often(time.Now()) {
		s.log.Warn().Int("status", fault.Status).Str("dwolla_code", fault.Code).Str("dwolla_request_id", fault.RequestID).
			Msg("Dwolla often rejects access tokens before their end: each time a new one takes their place")
	}
	return true
}

// accepted records that Dwolla accepts the current token.
func (s *accessTokens) accepted() {
	if s.rejected.Load() == 0 { // the usual case, without a lock
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected.Store(0)
	s.recovered()
}

// renewed fetches a token. It rechecks the current token and the back-off first,
// because its caller may have seen an older state. If the fetch fails, it returns
// the old token while that is valid. It runs in the single flight.
func (s *accessTokens) renewed() (any, error) {
	s.mu.Lock()
	old, retryAt, failure, rotation := s.current, s.retryAt, s.failure, s.rotations
	rotated := rotation != s.fetchedIn
	closed := s.timer == nil
	if !closed {
		s.fetching.Add(1)
		defer s.fetching.Done()
	}
	s.mu.Unlock()
	switch now := time.Now(); {
	case closed:
		return nil, &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errClosed}
	case now.Before(old.renew) && !rotated, now.Before(retryAt) && now.Before(old.expires):
		return old, nil
	case now.Before(retryAt):
		return nil, later(failure, time.Until(retryAt))
	}
	token, fault := s.fetch()

	s.mu.Lock()
	defer s.mu.Unlock()
	if fault == nil {
		s.current, s.failure, s.retryAt, s.fetchedIn = token, nil, time.Time{}, rotation
		if s.rejected.Load() == 0 { // otherwise accepted recovers
			s.recovered()
		}
		s.metrics.expiry.Set(float64(token.expires.Unix()))
		s.renewAfter(time.Until(token.renew))
		return token, nil
	}
	if s.timer == nil { // closed during the fetch
		return nil, fault.failure()
	}
	s.failed(fault)
	if time.Now().Before(s.current.expires) {
		return s.current, nil
	}
	return nil, s.failure
}

// failed records and logs a fault, and starts the back-off. The caller holds mu.
func (s *accessTokens) failed(fault *Error) {
	pause := s.pauseAfter(fault)
	s.failures++
	s.failure, s.retryAt = fault.failure(), time.Now().Add(pause)
	level := zerolog.DebugLevel // log each kind of fault once as an error
	if kind := strconv.Itoa(fault.Status) + fault.Code; s.failures == 1 || kind != s.logged {
		level, s.logged = zerolog.ErrorLevel, kind
	}
	event := s.log.WithLevel(level).
		Int("status", fault.Status).
		Str("dwolla_code", fault.Code).
		Str("dwolla_request_id", fault.RequestID).
		AnErr("error", fault.Err).
		Dur("retry_in_ms", pause)
	switch {
	case fault.accessTokenRejected():
		event.Msg("Dwolla rejects its own access tokens")
	case fault.Status == http.StatusUnauthorized:
		event.Msg("Dwolla does not accept DWOLLA_CLIENT_ID and DWOLLA_CLIENT_SECRET in this DWOLLA_ENVIRONMENT")
	default:
		event.Msg("getting an access token from Dwolla failed")
	}
	s.renewAfter(pause)
}

// recovered ends the series of failures. The caller holds mu.
func (s *accessTokens) recovered() {
	if s.failures > 0 {
		s.log.Info().Msg("Dwolla issues access tokens again")
	}
	s.failures = 0
}

// pauseAfter returns the back-off after a fault. The caller holds mu.
func (s *accessTokens) pauseAfter(fault *Error) time.Duration {
	if fault.Status == http.StatusTooManyRequests {
		return fault.quiet()
	}
	longest := min(time.Second<<min(s.failures, 10), maxBackOff)
	return longest/2 + s.jitter(longest/2)
}

// renewAfter schedules a renewal in the background. The caller holds mu.
func (s *accessTokens) renewAfter(d time.Duration) {
	if s.timer != nil {
		s.timer.Reset(d)
	}
}
