package auth

import (
	"context"
	"sync"
	"sync/atomic"
)

// liveCredentials knows the credentials of the requests under way, so that a refusal
// of the application's reaches those that it accepted a moment ago. There is one
// entry for the credentials of each request, until the request ends.
type liveCredentials struct {
	mu   sync.Mutex
	held map[credentialsDigest]*heldCredentials
}

type heldCredentials struct {
	requests int // liveCredentials guards it
	refused  atomic.Bool
}

// hold notes that a request with these credentials is under way until ctx ends. The
// result reports whether the application has refused them since.
func (l *liveCredentials) hold(ctx context.Context, digest credentialsDigest) (over func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[credentialsDigest]*heldCredentials{}
	}
	h, ok := l.held[digest]
	if !ok {
		h = &heldCredentials{}
		l.held[digest] = h
	}
	h.requests++
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.requests--; h.requests == 0 && l.held[digest] == h {
			delete(l.held, digest)
		}
	})
	return h.refused.Load
}

// refuse says that the application refuses the credentials. Requests that come
// later are judged anew.
func (l *liveCredentials) refuse(digest credentialsDigest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.held[digest]; ok {
		h.refused.Store(true)
		delete(l.held, digest)
	}
}
