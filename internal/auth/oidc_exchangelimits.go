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

// redeemed bounds the exchanges of codes at the provider's token endpoint, which
// anybody can cause who begins a sign-in: of one sign-in, in total in a second,
// and at once.
type redeemed struct {
	mu       sync.Mutex
	attempts *bytecache.Cache[[sha256.Size]byte, int] // by state, as long as a sign-in may take
	rate     *rate.Limiter
	calls    *bulkhead.Bulkhead
}

const (
	// An outage may cost a sign-in its first attempts. A code that the provider
	// has refused is worth no other.
	maxExchanges    = 3
	maxRedeemed     = 1 << 20 // bytes
	exchangesAtOnce = 32
	exchangesBurst  = 100
	exchangesRate   = rate.Limit(50) // in a second
)

func newRedeemed() *redeemed {
	return &redeemed{
		attempts: bytecache.New[[sha256.Size]byte, int](bytecache.Config{MaxBytes: maxRedeemed, Now: time.Now}),
		rate:     rate.NewLimiter(exchangesRate, exchangesBurst),
		calls:    bulkhead.New(exchangesAtOnce),
	}
}

// enter lets one exchange for a state pass. Then it has to leave. The error is a
// *ProtocolError for a state that has had its attempts, a *clienttoken.Failure
// when there are too many exchanges, or ctx's own; then no attempt is used.
func (e *redeemed) enter(ctx context.Context, state string) error {
	if !e.count(state, 1) {
		return &ProtocolError{"state_used", "this sign-in has had its attempts"}
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
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation, as it came
	}
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: time.Second, Err: err}
}

var errTooManyExchanges = errors.New("too many sign-ins come back from the provider at once")

func (e *redeemed) leave() { e.calls.Leave() }

// spend uses up all attempts of a state.
func (e *redeemed) spend(state string) { e.count(state, maxExchanges) }

// count changes the number of a state's attempts, and reports whether there was
// one left.
func (e *redeemed) count(state string, by int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	digest := sha256.Sum256([]byte(state))
	had, _ := e.attempts.Get(digest)
	if by > 0 && had >= maxExchanges {
		return false
	}
	e.attempts.Add(digest, max(had+by, 0), 0, time.Now().Add(loginLife))
	return true
}
