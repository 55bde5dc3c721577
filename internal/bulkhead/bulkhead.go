// Package bulkhead bounds the calls of another service under way, and the
// callers that wait for their turn. It knows nothing of the calls.
package bulkhead

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The queue for a slot. A slot comes free with every answer. At answers of 0.2 s
// the queue is empty within three of those. Whoever waits for more than a second
// waits for a service that is slow: more waiting would only slow it down.
const (
	queuePerSlot = 3
	LongestQueue = time.Second // the longest wait for a slot
)

var (
	// ErrFull says that three callers for each slot wait already.
	ErrFull = errors.New("too many callers wait for a slot")
	// ErrTimeout says that no slot came free in time.
	ErrTimeout = errors.New("no slot came free in time")
)

// Bulkhead has a fixed number of slots. It is safe for concurrent use.
type Bulkhead struct {
	slots   chan struct{}
	waiting atomic.Int64
}

// New returns a bulkhead with so many free slots.
func New(slots int) *Bulkhead { return &Bulkhead{slots: make(chan struct{}, slots)} }

// Enter takes a slot, before deadline and within LongestQueue; Leave gives it
// back. Callers get their slots in the order in which they came. The error is
// ErrFull, ErrTimeout or that of ctx.
func (b *Bulkhead) Enter(ctx context.Context, deadline time.Time) error {
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > int64(queuePerSlot*cap(b.slots)) {
		return ErrFull
	}
	timer := time.NewTimer(min(LongestQueue, time.Until(deadline)))
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrTimeout
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation, as it came
	}
}

// Leave gives a slot back.
func (b *Bulkhead) Leave() { <-b.slots }

// Taken is the number of slots in use.
func (b *Bulkhead) Taken() int { return len(b.slots) }

// Waiting is the number of callers that wait for a slot.
func (b *Bulkhead) Waiting() int { return int(b.waiting.Load()) }
