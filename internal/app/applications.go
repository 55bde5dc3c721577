package app

import (
	"context"
	"slices"
	"sync"
)

// failingAfter is how many calls in a row must fail before an application counts as
// unavailable. One user with odd cookies may cause a few failures.
const failingAfter = 4

// recentCalls follows the calls of an application. Its zero value is ready for use.
type recentCalls struct {
	mu     sync.Mutex
	failed int   // in a row
	last   error // of the last failure
}

// note notes the outcome of a call.
func (c *recentCalls) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failed = 0
		return
	}
	c.failed++
	c.last = err
}

// fault returns the last error while every call fails.
func (c *recentCalls) fault(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed < failingAfter {
		return nil
	}
	return c.last
}

// applications returns the application's own endpoints: who is signed in
// (AUTH_FORWARD_URL), and which Customer is whose (CUSTOMER_LOOKUP_URL).
func (a *App) applications() []dependency {
	var all []dependency
	if slices.Contains(a.config.AuthModes, "forward") {
		all = append(all, dependency{"the application's sessions", "", a.forwardCalls.fault})
	}
	if a.lookup != nil {
		all = append(all, dependency{"the application's directory", "", a.lookupCalls.fault})
	}
	return all
}
