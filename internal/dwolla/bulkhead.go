package dwolla

import (
	"context"
	"sync/atomic"
	"time"
)

// longestQueue is how long a call waits for a slot. A slot comes free within an
// answer of Dwolla's, about 0.2 s; where none does, there are more calls than
// Dwolla takes, and waiting would only make all of them slower.
const longestQueue = 250 * time.Millisecond

// bulkhead bounds the attempts under way, and those who wait for their turn to
// as many again.
type bulkhead struct {
	slots   chan struct{}
	waiting atomic.Int64
}

func newBulkhead(slots int) *bulkhead { return &bulkhead{slots: make(chan struct{}, slots)} }

// enter takes a slot, which leave gives back. The error is a *rejectedError, or
// that of ctx. Those who wait get theirs in the order in which they came.
func (b *bulkhead) enter(ctx context.Context) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > int64(cap(b.slots)) {
		return &rejectedError{queueFull, soon}
	}
	timer := time.NewTimer(longestQueue)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return &rejectedError{queueTimeout, soon}
	case <-ctx.Done():
		return callersOwn(ctx)
	}
}

func (b *bulkhead) leave() { <-b.slots }
