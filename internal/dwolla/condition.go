package dwolla

import (
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"
)

// failingAfter is how many attempts in a row make a total failure. A small tenant never
// has the volume that opens a circuit.
const failingAfter = 4

// warnAfter is how long a total failure must last, so that many calls open the circuit
// first.
const warnAfter = 2 * time.Second

// failingLogEvery limits each kind of warning: some operation may fail and recover all the
// time.
const failingLogEvery = time.Minute

// Dwolla is late if this many answers in a row took at least this long.
const (
	lateAfter   = 500 * time.Millisecond
	lateAnswers = 8
)

// streak follows the faults and the late answers in a row of one operation. circuit.mu
// guards it.
type streak struct {
	faults int
	logged time.Time // of the last warning
	warned bool      // in this streak

	late       int
	lateLogged time.Time
	lateWarned bool
}

func (s *streak) failing() bool { return s.faults >= failingAfter }

// note notes the outcome of an attempt.
func (c *circuit) note(v verdict, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch v {
	case healthy:
		c.noteTime(took)
		if c.streak.warned {
			c.log.Info().Str("operation", string(c.operation)).Msg("Dwolla no longer fails every request")
		}
		c.streak.faults, c.streak.warned = 0, false
	case faulty:
		if c.streak.faults++; c.streak.faults == failingAfter {
			time.AfterFunc(warnAfter, c.warnOfFailure)
		}
		if !c.some.watching {
			c.some.watching = true
			time.AfterFunc(warnAfter, c.watchFailures)
		}
	case throttling, inconclusive:
	}
}

// noteTime logs the beginning and the end of late answers. The caller holds mu.
func (c *circuit) noteTime(took time.Duration) {
	s := &c.streak
	if took < lateAfter {
		if s.lateWarned {
			c.log.Info().Str("operation", string(c.operation)).Dur("took_ms", took).Msg("Dwolla answers in time again")
		}
		s.late, s.lateWarned = 0, false
		return
	}
	s.late++
	if s.late >= lateAnswers && !s.lateWarned && time.Since(s.lateLogged) >= failingLogEvery {
		s.lateWarned, s.lateLogged = true, time.Now()
		c.log.Warn().Str("operation", string(c.operation)).Dur("took_ms", took).Int("late_in_a_row", s.late).Msg("Dwolla answers late")
	}
}

// someFailed is how many attempts within the window of the circuit must fail for a line
// about them.
const someFailed = 5

// someFail follows failures among successes, which open no circuit. circuit.mu guards it.
type someFail struct {
	watching bool // watchFailures is due
	warned   bool
	logged   time.Time
}

// watchFailures logs the beginning and the end of failures among successes. It runs
// every two seconds while there are failures in the window.
func (c *circuit) watchFailures() {
	state, counts := c.breaker.State(), c.breaker.Counts()
	c.mu.Lock()
	defer c.mu.Unlock()
	other := state != gobreaker.StateClosed || c.streak.failing() // they have lines of their own
	switch some := &c.some; {
	case other:
		some.warned = false
	case counts.TotalFailures >= someFailed && !some.warned && time.Since(some.logged) >= failingLogEvery:
		some.warned, some.logged = true, time.Now()
		c.log.Warn().Str("operation", string(c.operation)).Uint32("failed", counts.TotalFailures).
			Uint32("of", counts.TotalFailures+counts.TotalSuccesses).AnErr("error", c.lastFault).Msg("some requests to Dwolla fail")
	case counts.TotalFailures == 0 && some.warned:
		some.warned = false
		c.log.Info().Str("operation", string(c.operation)).Msg("requests to Dwolla no longer fail")
	}
	if c.some.watching = counts.TotalFailures > 0; c.some.watching {
		time.AfterFunc(warnAfter, c.watchFailures)
	}
}

// warnOfFailure logs a total failure, unless it has opened the circuit, which has a line
// of its own.
func (c *circuit) warnOfFailure() {
	closed := c.breaker.State() == gobreaker.StateClosed
	c.mu.Lock()
	defer c.mu.Unlock()
	if closed && c.streak.failing() && time.Since(c.streak.logged) >= failingLogEvery {
		c.streak.warned, c.streak.logged = true, time.Now()
		c.log.Warn().Str("operation", string(c.operation)).Int("failed_in_a_row", c.streak.faults).AnErr("error", c.lastFault).
			Msg("every request to Dwolla fails")
	}
}

// failing is 1 during a total failure.
func (c *circuit) failing() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streak.failing() {
		return 1
	}
	return 0
}

// condition describes what is wrong with Dwolla for this operation, or is empty.
func (c *circuit) condition() string {
	state := c.breaker.State()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case time.Now().Before(c.quietUntil):
		return fmt.Sprintf("throttled until %s (%s)", c.quietUntil.UTC().Format(time.RFC3339), c.operation)
	case state == gobreaker.StateOpen:
		return fmt.Sprintf("circuit open until %s (%s)", c.faultyUntil.UTC().Format(time.RFC3339), c.operation)
	case c.streak.failing():
		return fmt.Sprintf("the last %d requests failed (%s)", c.streak.faults, c.operation)
	}
	return ""
}

// Degraded describes what is wrong with Dwolla, as far as the last calls show: a throttle,
// an open circuit, or a total failure. See [Client.Fault] for the access token.
func (c *Client) Degraded() []string {
	var found []string
	for _, op := range operations() {
		if condition := c.circuits[op].condition(); condition != "" {
			found = append(found, condition)
		}
	}
	return found
}
