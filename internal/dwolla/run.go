package dwolla

import (
	"context"
	"time"
)

// Run gets the first access token, so the first caller need not wait. Until Close,
// the token is then renewed in the background, and failed fetches are retried.
// This keeps Fault current even without calls.
func (c *Client) Run(ctx context.Context) {
	_, _ = c.tokens.get(ctx) // Fault reports the failure, and the log has it
}

// Fault returns why there is no access token. It is nil while there is one, and
// before the first request for one.
func (c *Client) Fault() error {
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	if c.tokens.failure == nil || time.Now().Before(c.tokens.current.expires) {
		return nil
	}
	return c.tokens.failure
}
