package app

import (
	"context"
	"sync"
	"time"
)

// writeTest remembers for a while whether a store accepts writes, so that readiness
// probes cause few writes. Its zero value is ready for use.
type writeTest struct {
	mu    sync.Mutex
	known time.Time // when the test last ended; zero: never
	err   error     // its result
}

const (
	writeWithin = 2 * time.Second // timeout of a test
	acceptedFor = 5 * time.Second // how long a success counts
	refusedFor  = time.Second     // how long a failure counts
)

// after returns a check that calls ping each time, and test seldom. An outage
// clears the last result: another server may answer afterwards.
func (w *writeTest) after(ping, test func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := repeated(ctx, ping); err != nil {
			w.forget()
			return err
		}
		return w.outcome(ctx, test)
	}
}

// tries is how often a check is tried. A broken connection is no outage.
const tries = 3

// repeated tries until a success.
func repeated(ctx context.Context, try func(context.Context) error) (err error) {
	for range tries {
		if err = try(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

// forget does nothing while a test runs: that test gives a fresh result.
func (w *writeTest) forget() {
	if w.mu.TryLock() {
		w.known = time.Time{}
		w.mu.Unlock()
	}
}

// outcome returns the last result while it counts, and runs the test otherwise.
// Concurrent callers share one run, which no caller can cancel.
func (w *writeTest) outcome(ctx context.Context, test func(context.Context) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	life := acceptedFor
	if w.err != nil {
		life = refusedFor
	}
	if !w.known.IsZero() && time.Since(w.known) < life {
		return w.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	w.err = repeated(ctx, test)
	w.known = time.Now()
	return w.err
}
