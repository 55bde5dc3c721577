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

// failingLogEvery limits the warnings: some operation may fail and recover all the time.
const failingLogEvery = time.Minute

// streak follows the faults in a row of one operation. circuit.mu guards it.
type streak struct {
	faults int
	logged time.Time // of the last warning
	warned bool      // in this streak
}

func (s *streak) failing() bool { return s.faults >= failingAfter }

// note notes the outcome of an attempt.
func (c *circuit) note(v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch v {
	case healthy:
		if c.streak.warned {
			c.log.Info().Str("operation", string(c.operation)).Msg("Dwolla no longer fails every request")
		}
		c.streak.faults, c.streak.warned = 0, false
	case faulty:
		if c.streak.faults++; c.streak.faults == failingAfter {
			time.AfterFunc(warnAfter, c.warnOfFailure)
		}
	case throttling, inconclusive:
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
