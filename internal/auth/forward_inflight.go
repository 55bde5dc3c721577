package auth

import (
	"context"
	"sync"
	"sync/atomic"
)

// inFlightCredentials tracks the credentials of requests in flight. When the
// application refuses credentials that it accepted a moment ago, requests in
// flight with the same credentials learn of it.
type inFlightCredentials struct {
	mu      sync.Mutex
	entries map[questionDigest]*inFlightEntry
}

type inFlightEntry struct {
	requests int // guarded by inFlightCredentials.mu
	refused  atomic.Bool
}

// track notes a request with these credentials until ctx ends. The returned
// function reports whether the application has refused them since.
func (c *inFlightCredentials) track(ctx context.Context, digest questionDigest) (refused func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[questionDigest]*inFlightEntry{}
	}
	entry, ok := c.entries[digest]
	if !ok {
		entry = &inFlightEntry{}
		c.entries[digest] = entry
	}
	entry.requests++
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if entry.requests--; entry.requests == 0 && c.entries[digest] == entry {
			delete(c.entries, digest)
		}
	})
	return entry.refused.Load
}

// refuse marks the credentials as refused for the requests in flight. Later
// requests get a new entry.
func (c *inFlightCredentials) refuse(digest questionDigest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry, ok := c.entries[digest]; ok {
		entry.refused.Store(true)
		delete(c.entries, digest)
	}
}
