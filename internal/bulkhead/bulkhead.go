// Package bulkhead limits the calls to another service in progress, and the
// callers waiting for their turn. It never sees the calls themselves.
package bulkhead

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The queue for a slot. If answers take 0.2 s, a full queue empties within three
// answers. A wait of more than a second means a slow service, and a longer queue
// would only slow it further.
const (
	queuePerSlot = 3
	LongestQueue = time.Second // the longest wait for a slot
)

var (
	// ErrFull means that queuePerSlot callers per slot are waiting already.
	ErrFull = errors.New("too many callers are waiting for a slot")
	// ErrTimeout means that no slot became free in time.
	ErrTimeout = errors.New("no slot became free in time")
)

// Bulkhead has a fixed number of slots. It is safe for concurrent use.
type Bulkhead struct {
	slots   chan struct{}
	waiting atomic.Int64
}

// New returns a bulkhead with this number of free slots.
func New(slots int) *Bulkhead { return &Bulkhead{slots: make(chan struct{}, slots)} }

// Enter takes a slot before deadline and within LongestQueue. Callers get slots in
// order of arrival. The error is ErrFull, ErrTimeout or that of ctx. Without an
// error, the caller must call Leave.
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
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation, unchanged
	}
}

// Leave returns a slot.
func (b *Bulkhead) Leave() { <-b.slots }

// Taken returns the number of slots in use.
func (b *Bulkhead) Taken() int { return len(b.slots) }

// Waiting returns the number of callers waiting for a slot.
func (b *Bulkhead) Waiting() int { return int(b.waiting.Load()) }
