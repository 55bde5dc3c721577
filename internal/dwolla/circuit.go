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

// rejection is why a call, or its second attempt, was not sent to Dwolla. It is
// a label of a metric.
type rejection string

const (
	circuitOpen   rejection = "circuit_open" // faults of the operation
	throttled     rejection = "throttled"    // its 429
	queueFull     rejection = "queue_full"
	queueTimeout  rejection = "queue_timeout"
	noAccessToken rejection = "access_token" // /token has just failed
	overBudget    rejection = "retry_budget"
)

func rejections() []rejection {
	return []rejection{circuitOpen, throttled, queueFull, queueTimeout, noAccessToken, overBudget}
}

// soon is what a caller is asked to wait for where it cannot be told, or is less
// than a second.
const soon = time.Second

// rejectedError is a call that was not sent.
type rejectedError struct {
	reason rejection
	wait   time.Duration // until another one may be
}

func (e *rejectedError) Error() string { return "not sent to Dwolla: " + string(e.reason) }

func (e *rejectedError) failure() *clienttoken.Failure {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: max(e.wait, soon), Err: e}
}

// verdict is what an attempt tells of Dwolla's health. The zero one is nothing.
type verdict int

const (
	inconclusive verdict = iota // the caller has gone, or it was never sent
	healthy                     // a success, or a refusal
	faulty                      // no answer, a server's error, nonsense
	throttling                  // 429
)

// judge says what an attempt that came to fault tells, where ctx is the caller's.
// A cut in a 429 is a 429.
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

// When faults open a circuit: at half of at least so many calls that have begun
// within the window, and for how long.
const (
	leastCalls  = 20
	faultWindow = 10 * time.Second
	openFor     = 5 * time.Second
)

// circuit stands before one operation. Two things open it, each by itself: a 429,
// for as long as Dwolla says, since every further call could make the throttle
// last; and many faults, for a few seconds, so that callers do not wait for what
// fails anyway. After that one call at a time probes.
type circuit struct {
	operation operation
	log       zerolog.Logger
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}] // for faults

	// Never held while breaker is called, which calls changed under its own lock.
	mu          sync.Mutex
	quietUntil  time.Time // the throttle's: zero while Dwolla does not throttle
	probing     bool      // a call is out to see whether Dwolla still throttles
	faultyUntil time.Time // the breaker's
	lastFault   *Error
}

// errInconclusive tells the breaker to forget an attempt.
var errInconclusive = errors.New("nothing to learn from")

// newCircuit returns a closed one. timeout is that of one attempt: the breaker
// files an outcome under the time at which the attempt began, and would have
// forgotten those that take longest, time-outs, in a window no longer than they.
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

// changed is told of the breaker's changes.
func (c *circuit) changed(_ string, from, to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		c.mu.Lock()
		c.faultyUntil = time.Now().Add(openFor)
		fault := c.lastFault
		c.mu.Unlock()
		level := zerolog.WarnLevel
		if from == gobreaker.StateHalfOpen {
			level = zerolog.DebugLevel // an outage that lasts is no news every five seconds
		}
		c.log.WithLevel(level).Str("operation", string(c.operation)).Dur("open_for_ms", openFor).AnErr("error", fault).
			Msg("half of the calls to Dwolla fail: the circuit is open, and probes")
	case gobreaker.StateClosed:
		c.log.Info().Str("operation", string(c.operation)).Msg("Dwolla answers again: the circuit is closed")
	case gobreaker.StateHalfOpen:
	}
}

// passage lets one attempt through a circuit. It has to be settled.
type passage struct {
	circuit *circuit
	done    func(error) // the breaker's
	probe   bool        // of the throttle
}

// enter returns a passage, or says at once why there is none.
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

// settle says what came of the attempt: fault, or nil.
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
	p.leaveThrottle(v)
}

// enterThrottle reports whether the call is a probe, or how long there must not
// be any.
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

// throttle opens the circuit for as long as a 429 says.
func (p passage) throttle(fault *Error) {
	c := p.circuit
	quiet := fault.quiet()
	until := time.Now().Add(quiet)
	c.mu.Lock()
	opens := c.quietUntil.IsZero() || p.probe
	if until.After(c.quietUntil) {
		c.quietUntil = until
	}
	if p.probe {
		c.probing = false
	}
	c.mu.Unlock()
	if opens {
		c.log.Warn().Str("operation", string(c.operation)).Dur("open_for_ms", quiet).Str("dwolla_request_id", fault.RequestID).
			Msg("Dwolla throttles this operation (429): the circuit is open")
	}
}

// leaveThrottle ends a probe. A healthy one closes the circuit, unless a call
// that had been under way for longer has been throttled meanwhile.
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
		c.log.Info().Str("operation", string(c.operation)).Msg("Dwolla throttles this operation no longer: the circuit is closed")
	}
}

// Values of the metric of states; the breaker's are the same.
const (
	stateClosed   = float64(gobreaker.StateClosed)
	stateHalfOpen = float64(gobreaker.StateHalfOpen)
	stateOpen     = float64(gobreaker.StateOpen)
)

// state is the wider open of the two. It depends on the clock, so it is worked
// out when it is asked for.
func (c *circuit) state() float64 {
	c.mu.Lock()
	throttle := stateUntil(c.quietUntil)
	c.mu.Unlock()
	return max(throttle, float64(c.breaker.State()))
}

// stateUntil is the state of what is open until t, and then probed; of the zero
// time that of what is closed.
func stateUntil(t time.Time) float64 {
	switch {
	case t.IsZero():
		return stateClosed
	case time.Now().Before(t):
		return stateOpen
	}
	return stateHalfOpen
}
