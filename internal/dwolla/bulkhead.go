package dwolla

import (
	"context"
	"sync/atomic"
	"time"
)

// The queue for a slot. A slot comes free with every answer of Dwolla's, after
// about 0.2 s, so that the queue is empty within three of those, and the thousand
// calls that an access token sets free at once, which have 256 slots, are all
// served. Who waits longer than a second waits for a Dwolla that is slow: more
// waiting would only make everything slower.
const (
	queuePerSlot = 3
	longestQueue = time.Second
)

// bulkhead bounds the attempts under way, and those who wait for their turn.
type bulkhead struct {
	slots   chan struct{}
	waiting atomic.Int64
}

func newBulkhead(slots int) *bulkhead { return &bulkhead{slots: make(chan struct{}, slots)} }

// enter takes a slot, which leave gives back, before deadline. The error is a *rejectedError, or
// that of ctx. Those who wait get theirs in the order in which they came.
func (b *bulkhead) enter(ctx context.Context, deadline time.Time) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > int64(queuePerSlot*cap(b.slots)) {
		return &rejectedError{queueFull, soon}
	}
	timer := time.NewTimer(min(longestQueue, time.Until(deadline)))
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
