package app

import (
	"context"
	"sync"
	"time"
)

// writeTest remembers for a while whether a store accepts writes, so that neither
// readiness probes nor replicas make many of them. Its zero value is ready for use.
type writeTest struct {
	mu    sync.Mutex
	known time.Time // when the outcome was found; zero: never
	err   error     // the outcome
}

const (
	writeWithin    = 2 * time.Second // of one test
	acceptedFor    = 5 * time.Second // how long a store counts as one that accepts writes
	refusedAgainIn = time.Second
)

// after returns a check that asks ping each time, and test seldom. An outage ends
// what is remembered: the server may come back as another one.
func (w *writeTest) after(ping, test func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := ping(ctx); err != nil {
			w.forget()
			return err
		}
		return w.outcome(ctx, test)
	}
}

// forget lets a test that is under way go on: it decides.
func (w *writeTest) forget() {
	if w.mu.TryLock() {
		w.known = time.Time{}
		w.mu.Unlock()
	}
}

// outcome runs the test unless it knows. Callers at the same time share one run, and
// none of them can end it for the others.
func (w *writeTest) outcome(ctx context.Context, test func(context.Context) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	life := acceptedFor
	if w.err != nil {
		life = refusedAgainIn
	}
	if !w.known.IsZero() && time.Since(w.known) < life {
		return w.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	w.err = test(ctx)
	w.known = time.Now()
	return w.err
}
