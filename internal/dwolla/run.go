package dwolla

import (
	"context"
	"time"
)

// Run gets the first access token, so that the first caller need not wait for it.
// From then on, until Close, there is one or another try, also when nobody calls:
// so that what Fault tells is true.
func (c *Client) Run(ctx context.Context) {
	_, _ = c.tokens.get(ctx) // the failure is for Fault, and in the log already
}

// Fault is why there is no access token, or nil: also before anybody has asked
// for one.
func (c *Client) Fault() error {
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	if c.tokens.failure == nil || time.Now().Before(c.tokens.current.expires) {
		return nil
	}
	return c.tokens.failure
}
