package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"dropgate/internal/bulkhead"
	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
)

// exchangeLimits bounds the calls to the provider's token endpoint: per sign-in,
// per second, and in flight. Calls to its userinfo endpoint share the last bound. Anyone who starts a sign-in can cause such calls.
type exchangeLimits struct {
	callLimits

	mu       sync.Mutex
	attempts *bytecache.Cache[[sha256.Size]byte, int] // by state, for loginLife
}

// callLimits bounds calls to the provider per second and in flight.
type callLimits struct {
	rate  *rate.Limiter
	calls *bulkhead.Bulkhead
}

func newCallLimits() callLimits {
	return callLimits{rate.NewLimiter(exchangeRate, exchangeBurst), bulkhead.New(maxExchangesInFlight)}
}

// admit admits one call. After it, call leave.
func (c callLimits) admit(ctx context.Context) error {
	if !c.rate.Allow() {
		return errTooManyExchanges
	}
	return c.calls.Enter(ctx, time.Now().Add(exchangeTimeout))
}

func (c callLimits) leave() { c.calls.Leave() }

const (
	// An outage may cost a sign-in its first attempts. A refused code gets no
	// further attempt.
	maxExchanges         = 3
	maxExchangeAttempts  = 1 << 20 // bytes
	maxExchangesInFlight = 32
	exchangeBurst        = 100
	exchangeRate         = rate.Limit(50) // per second
)

func newExchangeLimits() *exchangeLimits {
	return &exchangeLimits{
		callLimits: newCallLimits(),
		attempts:   bytecache.New[[sha256.Size]byte, int](bytecache.Config{MaxBytes: maxExchangeAttempts, Now: time.Now}),
	}
}

// enter admits one exchange for a state. After it, call leave. The error is a
// *ProtocolError for a state without attempts left. A *clienttoken.Failure for too
// many exchanges, or ctx's own error, uses no attempt.
func (e *exchangeLimits) enter(ctx context.Context, state string) error {
	if !e.count(state, 1) {
		return &ProtocolError{"state_used", "this sign-in has no attempts left"}
	}
	err := e.admit(ctx)
	if err == nil {
		return nil
	}
	e.count(state, -1)
	return tooBusy(ctx, err)
}

// enterUserinfo admits the call that follows an exchange. After it, call leave. The
// error is a *clienttoken.Failure, or ctx's own.
func (e *exchangeLimits) enterUserinfo(ctx context.Context) error {
	if err := e.calls.Enter(ctx, time.Now().Add(exchangeTimeout)); err != nil {
		return tooBusy(ctx, err)
	}
	return nil
}

func tooBusy(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation
	}
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: time.Second, Err: err}
}

var errTooManyExchanges = errors.New("too many sign-ins return from the provider at once")

// exhaust uses up all attempts of a state.
func (e *exchangeLimits) exhaust(state string) { e.count(state, maxExchanges) }

// count adds to a state's used attempts, and reports whether one was left.
func (e *exchangeLimits) count(state string, by int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	digest := sha256.Sum256([]byte(state))
	used, _ := e.attempts.Get(digest)
	if by > 0 && used >= maxExchanges {
		return false
	}
	e.attempts.Add(digest, max(used+by, 0), 0, time.Now().Add(loginLife))
	return true
}
