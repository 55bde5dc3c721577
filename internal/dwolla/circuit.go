package dwolla

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"dropgate/internal/clienttoken"
)

// rejection says why a call or a retry was not sent to Dwolla. It is a metric
// label.
type rejection string

const (
	circuitOpen   rejection = "circuit_open" // too many faults of the operation
	throttled     rejection = "throttled"    // its 429
	queueFull     rejection = "queue_full"
	queueTimeout  rejection = "queue_timeout"
	noAccessToken rejection = "access_token" // /token has just failed
	overBudget    rejection = "retry_budget"
)

func rejections() []rejection {
	return []rejection{circuitOpen, throttled, queueFull, queueTimeout, noAccessToken, overBudget}
}

// soon is the shortest Retry-After, and the default when the wait is unknown.
const soon = time.Second

// rejectedError is a call that was not sent.
type rejectedError struct {
	reason rejection
	wait   time.Duration // until the next call may be sent
}

func (e *rejectedError) Error() string { return "not sent to Dwolla: " + string(e.reason) }

func (e *rejectedError) failure() *clienttoken.Failure {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: max(e.wait, soon), Err: e}
}

// verdict is what an attempt shows about Dwolla's health.
type verdict int

const (
	inconclusive verdict = iota // the caller left, or nothing was sent
	healthy                     // a success, or a refusal
	faulty                      // no answer, a server error, or an unusable answer
	throttling                  // 429
)

// judge returns the verdict for an attempt; ctx is the caller's. A 429 with a cut
// body is still a 429.
func judge(ctx context.Context, fault *Error) verdict {
	switch {
	case fault == nil:
		return healthy
	case fault.Status == http.StatusTooManyRequests:
		return throttling
	case fault.Err != nil && ctx.Err() != nil:
		return inconclusive
	case fault.refused():
		return healthy
	}
	return faulty
}

// Faults open a circuit for openFor once half of at least leastCalls calls have
// failed. Only calls begun within the window count.
const (
	leastCalls  = 20
	faultWindow = 10 * time.Second
	openFor     = 5 * time.Second
)

// circuit protects one operation. A 429 opens it for as long as Dwolla says,
// because further calls could extend the throttle. Many faults open it for a few
// seconds, so callers fail fast. Then one call at a time probes.
type circuit struct {
	operation operation
	log       zerolog.Logger
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}] // for faults

	// mu is never held while calling breaker, because breaker calls changed under its
	// own lock.
	mu          sync.Mutex
	quietUntil  time.Time // end of the throttle; zero without one
	probing     bool      // a call is probing whether Dwolla still throttles
	faultyUntil time.Time // end of the breaker's open state
	lastFault   *Error
	streak      streak
	some        someFail
}

// errInconclusive makes the breaker ignore an attempt.
var errInconclusive = errors.New("inconclusive attempt")

// newCircuit returns a closed circuit. timeout bounds one attempt. It extends the
// window, because the breaker counts an outcome at the start of its attempt and
// would otherwise drop timeouts.
func newCircuit(op operation, timeout time.Duration, log zerolog.Logger) *circuit {
	c := &circuit{operation: op, log: log}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         string(op),
		MaxRequests:  1,
		Interval:     faultWindow + timeout,
		BucketPeriod: time.Second,
		Timeout:      openFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			calls := n.TotalSuccesses + n.TotalFailures
			return calls >= leastCalls && 2*n.TotalFailures >= calls
		},
		IsExcluded:    func(err error) bool { return errors.Is(err, errInconclusive) },
		OnStateChange: c.changed,
	})
	return c
}

// changed logs the breaker's changes of state.
func (c *circuit) changed(_ string, from, to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		c.mu.Lock()
		c.faultyUntil = time.Now().Add(openFor)
		fault := c.lastFault
		c.mu.Unlock()
		level := zerolog.WarnLevel
		if from == gobreaker.StateHalfOpen {
			level = zerolog.DebugLevel // do not repeat the warning every five seconds
		}
		c.log.WithLevel(level).Str("operation", string(c.operation)).Dur("open_for_ms", openFor).AnErr("error", fault).
			Msg("half of the calls to Dwolla fail: the circuit is open")
	case gobreaker.StateClosed:
		c.log.Info().Str("operation", string(c.operation)).Msg("Dwolla answers again: the circuit is closed")
	case gobreaker.StateHalfOpen:
	}
}

// passage lets one attempt through a circuit. The caller must settle it.
type passage struct {
	circuit *circuit
	done    func(error) // end of the breaker's open state
	probe   bool        // of the throttle
	took    time.Duration
}

// enter returns a passage, or the reason to reject the call.
func (c *circuit) enter() (passage, *rejectedError) {
	probe, wait := c.enterThrottle()
	if wait > 0 {
		return passage{}, &rejectedError{throttled, wait}
	}
	p := passage{circuit: c, probe: probe}
	var err error
	if p.done, err = c.breaker.Allow(); err != nil { // it is open, or its probe is under way
		p.leaveThrottle(inconclusive)
		c.mu.Lock()
		defer c.mu.Unlock()
		return passage{}, &rejectedError{circuitOpen, time.Until(c.faultyUntil)}
	}
	return p, nil
}

// settle reports the outcome of the attempt.
func (p passage) settle(v verdict, fault *Error) {
	c := p.circuit
	switch v {
	case healthy:
		p.done(nil)
	case faulty:
		c.mu.Lock()
		c.lastFault = fault
		c.mu.Unlock()
		p.done(fault)
	case throttling:
		p.done(errInconclusive)
		p.throttle(fault)
		return
	case inconclusive:
		p.done(errInconclusive)
	}
	c.note(v, p.took)
	p.leaveThrottle(v)
}

// enterThrottle reports whether the call is a probe, or how long calls must wait.
func (c *circuit) enterThrottle() (probe bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quietUntil.IsZero() {
		return false, 0
	}
	if left := time.Until(c.quietUntil); left > 0 {
		return false, left
	}
	if c.probing {
		return false, soon
	}
	c.probing = true
	return true, 0
}

// throttle opens the circuit for as long as the 429 says.
func (p passage) throttle(fault *Error) {
	c := p.circuit
	quiet := fault.quiet()
	until := time.Now().Add(quiet)
	c.mu.Lock()
	level, opens := zerolog.WarnLevel, c.quietUntil.IsZero() || p.probe
	if p.probe {
		level = zerolog.DebugLevel // do not repeat the warning
	}
	if until.After(c.quietUntil) {
		c.quietUntil = until
	}
	if p.probe {
		c.probing = false
	}
	c.mu.Unlock()
	if opens {
		c.log.WithLevel(level).Str("operation", string(c.operation)).Dur("open_for_ms", quiet).Str("dwolla_request_id", fault.RequestID).
			Msg("Dwolla throttles this operation (429): the circuit is open")
	}
}

// leaveThrottle ends a probe. A healthy probe closes the circuit, unless an
// earlier call was throttled in the meantime.
func (p passage) leaveThrottle(v verdict) {
	if !p.probe {
		return
	}
	c := p.circuit
	c.mu.Lock()
	c.probing = false
	closes := v == healthy && !time.Now().Before(c.quietUntil)
	if closes {
		c.quietUntil = time.Time{}
	}
	c.mu.Unlock()
	if closes {
		c.log.Info().Str("operation", string(c.operation)).Msg("Dwolla no longer throttles this operation: the circuit is closed")
	}
}

// Values of the state metric, the same as the breaker's.
const (
	stateClosed   = float64(gobreaker.StateClosed)
	stateHalfOpen = float64(gobreaker.StateHalfOpen)
	stateOpen     = float64(gobreaker.StateOpen)
)

// state returns the more open state of throttle and breaker. It depends on the
// clock, so it is computed on demand.
func (c *circuit) state() float64 {
	c.mu.Lock()
	throttle := stateUntil(c.quietUntil)
	c.mu.Unlock()
	return max(throttle, float64(c.breaker.State()))
}

// stateUntil is open until t and half-open afterwards. A zero t means closed.
func stateUntil(t time.Time) float64 {
	switch {
	case t.IsZero():
		return stateClosed
	case time.Now().Before(t):
		return stateOpen
	}
	return stateHalfOpen
}
