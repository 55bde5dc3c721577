package dwolla

import (
	"context"
	"time"
)

// Run gets an access token at once, so that the first caller need not wait for
// it, and sees to it that there is one until ctx ends, also when nobody calls:
// so that what Fault tells is true.
func (c *Client) Run(ctx context.Context) {
	for {
		// The failure is for Fault, and in the log already.
		_, _ = c.tokens.get(ctx)
		select {
		case <-time.After(c.tokens.next()):
		case <-ctx.Done():
			return
		}
	}
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

// atLeast is the shortest pause of Run.
const atLeast = 50 * time.Millisecond

// next is how long nothing has to be done.
func (s *accessTokens) next() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.retryAt
	if s.current.expires.After(time.Now()) {
		until = s.current.expires // it is renewed before that
	}
	return max(time.Until(until), 0) + atLeast
}
