package bulkhead_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/bulkhead"
)

func TestCallersQueueBrieflyAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.New(1)
		started := time.Now()
		far := started.Add(time.Hour)
		if err := b.Enter(t.Context(), far); err != nil {
			t.Fatal(err)
		}
		turn := make(chan error, 3)
		for range 3 {
			go func() { turn <- b.Enter(t.Context(), far) }()
			synctest.Wait()
		}
		if err := b.Enter(t.Context(), far); !errors.Is(err, bulkhead.ErrFull) || time.Since(started) != 0 {
			t.Errorf("the fourth caller: %v after %v", err, time.Since(started))
		}
		wantCounts(t, b, 1, 3)
		b.Leave()
		if err := <-turn; err != nil {
			t.Errorf("the first in the queue: %v", err)
		}
		for range 2 {
			if err := <-turn; !errors.Is(err, bulkhead.ErrTimeout) || time.Since(started) != bulkhead.LongestQueue {
				t.Errorf("a waiting caller: %v after %v", err, time.Since(started))
			}
		}
		wantCounts(t, b, 1, 0)
	})
}

func wantCounts(t *testing.T, b *bulkhead.Bulkhead, taken, waiting int) {
	t.Helper()
	if b.Taken() != taken || b.Waiting() != waiting {
		t.Errorf("%d taken and %d waiting, want %d and %d", b.Taken(), b.Waiting(), taken, waiting)
	}
}

func TestDeadlineAndCallerEndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead.New(1)
		if err := b.Enter(t.Context(), time.Now()); err != nil {
			t.Fatal("a free slot needs no wait:", err)
		}
		if err := b.Enter(t.Context(), time.Now().Add(time.Millisecond)); !errors.Is(err, bulkhead.ErrTimeout) {
			t.Error(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Enter(gone, time.Now().Add(time.Hour)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
