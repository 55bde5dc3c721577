package auth_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Requests that wait keep connections: the others are answered at once.
func TestKeySetBoundsWaitingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all, waiting = 1000, 256
		w := newWorld(newIDP(published()...))
		w.idp.serve(discovery, after(time.Hour, text("")))
		w.run(t)
		var atOnce, later atomic.Int64
		var requests sync.WaitGroup
		for range all {
			requests.Go(func() {
				checkUnavailable(t, w, plain())
				if waited := time.Since(midnight); waited == 0 {
					atOnce.Add(1)
				} else if waited == 2*time.Second {
					later.Add(1)
				}
			})
		}
		requests.Wait()
		if atOnce.Load() != all-waiting || later.Load() != waiting {
			t.Errorf("%d were answered at once and %d after 2s, want %d and %d", atOnce.Load(), later.Load(), all-waiting, waiting)
		}
	})
}
