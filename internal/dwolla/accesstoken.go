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
)

// accessToken is the application's own token. The zero one has expired.
type accessToken struct {
	secret  clienttoken.Secret
	renew   time.Time // from here on a new one is fetched in the background
	expires time.Time // from here on it is not used
}

// accessTokens keeps the application's access token. Dwolla gives no refresh
// token, so from the first call on a new one is asked for, in the background: when
// four fifths of the life of the old one have passed, and when /token has failed
// and been left alone for a while. A caller asks when there is none. However many callers wait, one
// request is under way, and it belongs to none of them: a caller that gives up
// takes nothing from the others.
type accessTokens struct {
	fetch   func() (accessToken, *Error)
	jitter  func(most time.Duration) time.Duration
	log     zerolog.Logger
	metrics *metrics
	flight  singleflight.Group
	// fetching is what close waits for. It is added to under mu, while timer is
	// there.
	fetching sync.WaitGroup
	cancel   context.CancelFunc // ends a fetch under way
	rejected atomic.Int64       // tokens in a row that Dwolla has rejected and never accepted

	mu       sync.Mutex
	current  accessToken
	timer    *time.Timer          // renews in the background; nil once closed
	failures int                  // in a row
	told     string               // what the log has of them
	failure  *clienttoken.Failure // of the last fetch, for those who come before retryAt
	retryAt  time.Time            // no fetch before this
}

// assumedLife is taken for an access token that does not say how long it
// lives, longestLife for one that says more than anybody should believe.
const (
	assumedLife = 5 * time.Minute
	longestLife = 24 * time.Hour
)

// maxBackOff is the longest pause between two failing fetches. It starts at a
// second and doubles, and is shortened by up to a half at random, so that
// replicas do not ask together. A 429 has a pause of its own.
const maxBackOff = 10 * time.Second

func newAccessTokens(c Config, transport http.RoundTripper, m *metrics) *accessTokens {
	h := &http.Client{
		Transport: httpbody.Buffer(transport, maxBody),
		// A redirect would carry the application's secret away.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &accessTokens{jitter: upTo, log: c.Logger, metrics: m, cancel: cancel}
	s.timer = time.AfterFunc(longestLife, func() { s.flight.DoChan("", s.renewed) })
	s.timer.Stop()
	credentials := &clientcredentials.Config{
		ClientID:     c.ClientID,
		ClientSecret: c.ClientSecret.Reveal(),
		TokenURL:     c.API.Root() + "/token",
		AuthStyle:    oauth2.AuthStyleInHeader, // what Dwolla documents; detecting it costs a failed request
	}
	s.fetch = func() (accessToken, *Error) {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, h), c.Timeout)
		defer cancel()
		start := time.Now()
		token, err := credentials.Token(ctx)
		fault := tokenFault(ctx, err)
		m.observe(opToken, time.Since(start), fault)
		if fault != nil {
			return accessToken{}, fault
		}
		life := assumedLife
		// clientcredentials fills in Expiry, and leaves ExpiresIn zero.
		if left := time.Until(token.Expiry); left > 0 {
			life = min(left, longestLife)
		}
		return accessToken{
			secret:  clienttoken.NewSecret(token.AccessToken),
			renew:   start.Add(life / 5 * 4),
			expires: start.Add(life),
		}, nil
	}
	return s
}

// tokenFault keeps of a failed fetch what may be kept: x/oauth2 puts the whole
// body of the answer into its error text.
func tokenFault(ctx context.Context, err error) *Error {
	if err == nil {
		return nil
	}
	fault := &Error{Operation: opToken}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		fault.answered(refused.Response)
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

// close ends the background work, and waits for its end: nothing is logged
// afterwards. Tokens that are at hand stay good.
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

// getBefore is get for a caller who also has a deadline.
func (s *accessTokens) getBefore(ctx context.Context, deadline time.Time) (accessToken, error) {
	s.mu.Lock()
	token := s.current
	s.mu.Unlock()
	if time.Now().Before(token.expires) { // as nearly always; and a timer costs
		return token, nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return s.get(ctx)
}

// get returns a token that has not expired, waiting for one at most as long as
// ctx lasts. The error is a *clienttoken.Failure or that of ctx.
func (s *accessTokens) get(ctx context.Context) (accessToken, error) {
	s.mu.Lock()
	token, retryAt, failure := s.current, s.retryAt, s.failure
	s.mu.Unlock()
	now := time.Now()
	if now.Before(token.expires) {
		return token, nil
	}
	if left := retryAt.Sub(now); left > 0 {
		s.metrics.reject(noAccessToken)
		return accessToken{}, later(failure, left)
	}
	select {
	case result := <-s.flight.DoChan("", s.renewed):
		token, _ := result.Val.(accessToken) // renewed returns nothing else
		return token, result.Err
	case <-ctx.Done():
		return accessToken{}, callersOwn(ctx)
	}
}

// later is the failure of the last fetch for a caller that comes while there is
// no other for so long. Whatever that was, this caller was neither kept waiting nor
// answered with nonsense: it stands before an open circuit. But that Dwolla refuses
// the application does not pass by waiting.
func later(failure *clienttoken.Failure, left time.Duration) *clienttoken.Failure {
	f := *failure
	fault, ok := errors.AsType[*Error](f.Err)
	if !ok || !fault.refused() || f.Code == clienttoken.Unavailable {
		f.Code, f.RetryAfter = clienttoken.Unavailable, max(left, faultFor)
	}
	return &f
}

// state is that of a circuit: open before the next fetch may be, then half-open
// until it has come to something.
func (s *accessTokens) state() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stateUntil(s.retryAt)
}

// mostRejected is how many tokens in a row may be rejected: the last one that was
// good, and the next, which both attempts of one call may meet.
const mostRejected = 2

// discard forgets a token that Dwolla has rejected, and reports whether nobody
// else had. When Dwolla goes on like that, then it gives tokens that are no good, a
// fault of /token like any other: or each call would cost a token.
func (s *accessTokens) discard(token accessToken, fault *Error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != token {
		return false
	}
	s.current = accessToken{}
	if s.rejected.Add(1) > mostRejected && s.timer != nil {
		s.failed(fault)
	}
	return true
}

// accepted takes down that the tokens which Dwolla gives are good.
func (s *accessTokens) accepted() {
	if s.rejected.Load() == 0 { // as nearly always, and a lock costs
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected.Store(0)
	s.recovered()
}

// renewed fetches a token, unless the one at hand is young or a fetch has just
// failed: who was on the way here did not see that. When the fetch fails, a
// token with some life left is used on. It runs once at a time.
func (s *accessTokens) renewed() (any, error) {
	s.mu.Lock()
	old, retryAt, failure := s.current, s.retryAt, s.failure
	closed := s.timer == nil
	if !closed {
		s.fetching.Add(1)
		defer s.fetching.Done()
	}
	s.mu.Unlock()
	switch now := time.Now(); {
	case closed:
		return accessToken{}, &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errClosed}
	case now.Before(old.renew), now.Before(retryAt) && now.Before(old.expires):
		return old, nil
	case now.Before(retryAt):
		return accessToken{}, later(failure, time.Until(retryAt))
	}
	token, fault := s.fetch()

	s.mu.Lock()
	defer s.mu.Unlock()
	if fault == nil {
		s.current, s.failure, s.retryAt = token, nil, time.Time{}
		if s.rejected.Load() == 0 { // else it has to be accepted first
			s.recovered()
		}
		s.metrics.expiry.Set(float64(token.expires.Unix()))
		s.renewAfter(time.Until(token.renew))
		return token, nil
	}
	if s.timer == nil { // closed meanwhile, which has ended the fetch
		return accessToken{}, fault.failure()
	}
	s.failed(fault)
	if time.Now().Before(s.current.expires) {
		return s.current, nil
	}
	return accessToken{}, s.failure
}

// failed keeps and logs a fault, and leaves /token alone for a while. The caller
// holds mu.
func (s *accessTokens) failed(fault *Error) {
	pause := s.pauseAfter(fault)
	s.failures++
	s.failure, s.retryAt = fault.failure(), time.Now().Add(pause)
	level := zerolog.DebugLevel // once is enough, until it is another one
	if told := strconv.Itoa(fault.Status) + fault.Code; s.failures == 1 || told != s.told {
		level, s.told = zerolog.ErrorLevel, told
	}
	event := s.log.WithLevel(level).
		Int("status", fault.Status).
		Str("dwolla_code", fault.Code).
		Str("dwolla_request_id", fault.RequestID).
		AnErr("error", fault.Err).
		Dur("retry_in_ms", pause)
	switch {
	case fault.accessTokenRejected():
		event.Msg("Dwolla rejects the access tokens that it gives")
	case fault.Status == http.StatusUnauthorized:
		event.Msg("Dwolla does not accept DWOLLA_CLIENT_ID and DWOLLA_CLIENT_SECRET in this DWOLLA_ENVIRONMENT")
	default:
		event.Msg("getting an access token from Dwolla failed")
	}
	s.renewAfter(pause)
}

// recovered ends what failed began. The caller holds mu.
func (s *accessTokens) recovered() {
	if s.failures > 0 {
		s.log.Info().Msg("Dwolla gives access tokens again")
	}
	s.failures = 0
}

// pauseAfter is how long /token is left alone after a fault. The caller holds mu.
func (s *accessTokens) pauseAfter(fault *Error) time.Duration {
	if fault.Status == http.StatusTooManyRequests {
		return fault.quiet()
	}
	longest := min(time.Second<<min(s.failures, 10), maxBackOff)
	return longest/2 + s.jitter(longest/2)
}

// renewAfter has the token renewed in the background. The caller holds mu.
func (s *accessTokens) renewAfter(d time.Duration) {
	if s.timer != nil {
		s.timer.Reset(d)
	}
}
