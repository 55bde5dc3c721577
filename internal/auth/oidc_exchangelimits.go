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
// per second, and in flight. Anyone who starts a sign-in can cause such calls.
type exchangeLimits struct {
	mu       sync.Mutex
	attempts *bytecache.Cache[[sha256.Size]byte, int] // by state, for loginLife
	rate     *rate.Limiter
	calls    *bulkhead.Bulkhead
}

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
		attempts: bytecache.New[[sha256.Size]byte, int](bytecache.Config{MaxBytes: maxExchangeAttempts, Now: time.Now}),
		rate:     rate.NewLimiter(exchangeRate, exchangeBurst),
		calls:    bulkhead.New(maxExchangesInFlight),
	}
}

// enter admits one exchange for a state. After it, call leave. The error is a
// *ProtocolError for a state without attempts left. A *clienttoken.Failure for too
// many exchanges, or ctx's own error, uses no attempt.
func (e *exchangeLimits) enter(ctx context.Context, state string) error {
	if !e.count(state, 1) {
		return &ProtocolError{"state_used", "this sign-in has no attempts left"}
	}
	err := errTooManyExchanges
	if e.rate.Allow() {
		err = e.calls.Enter(ctx, time.Now().Add(exchangeTimeout))
	}
	if err == nil {
		return nil
	}
	e.count(state, -1)
	if ctx.Err() != nil {
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation
	}
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: time.Second, Err: err}
}

var errTooManyExchanges = errors.New("too many sign-ins return from the provider at once")

func (e *exchangeLimits) leave() { e.calls.Leave() }

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
