package dwolla

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/bulkhead"
	"dropgate/internal/clienttoken"
)

func slots(n int) Config { return Config{Timeout: 5 * time.Second, MaxConcurrent: n} }

func TestTheBulkheadQueuesShortlyAndThenRefuses(t *testing.T) {
	withFakeDwollaConfig(t, slots(2), func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(reply{latency: 2 * time.Second})
		type end struct {
			err   error
			after time.Duration
		}
		const waiting = 6 // three for each slot
		ends := make(chan end, 2+waiting+1)
		for range cap(ends) {
			go func() {
				err := w.vend(t.Context())
				ends <- end{err, time.Since(w.begin)}
			}()
			synctest.Wait()
		}
		w.wantSamples(t, "dropgate_dwolla_in_flight", map[string]float64{"": 2})
		first := <-ends
		wantRejection(t, first.err, queueFull, time.Second)
		if first.after != 0 {
			t.Errorf("refused after %v", first.after)
		}
		for range waiting {
			waited := <-ends
			wantRejection(t, waited.err, queueTimeout, time.Second)
			if waited.after != bulkhead.LongestQueue {
				t.Errorf("waited %v", waited.after)
			}
		}
		for range 2 {
			if served := <-ends; served.err != nil || served.after != 2*time.Second {
				t.Errorf("got %v after %v", served.err, served.after)
			}
		}
		w.wantCalls(t, 2)
		w.wantSamples(t, "dropgate_dwolla_in_flight", map[string]float64{})
		w.wantSamples(t, "dropgate_dwolla_rejected_total", map[string]float64{"queue_full": 1, "queue_timeout": waiting})
		w.wantState(t, opCreateClientToken, stateClosed)
	})
}

func TestThoseWhoWaitGetTheirSlotInTurn(t *testing.T) {
	withFakeDwollaConfig(t, slots(1), func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(reply{latency: 200 * time.Millisecond})
		ends := make(chan int, 2)
		for i := range 2 {
			go func() {
				if err := w.vend(t.Context()); err != nil {
					t.Error(err)
				}
				ends <- i
			}()
			synctest.Wait()
		}
		if got := []int{<-ends, <-ends}; !slices.Equal(got, []int{0, 1}) {
			t.Errorf("served in the order %v", got)
		}
		if took := time.Since(w.begin); took != 400*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if w.most != 1 {
			t.Errorf("%d at once", w.most)
		}
	})
}

func TestQueuedCallerLeavesAtOnce(t *testing.T) {
	withFakeDwollaConfig(t, slots(1), func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(reply{latency: time.Second})
		go func() { _ = w.vend(t.Context()) }() // holds the slot
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if err := w.vend(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(w.begin); took != 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		pass(time.Second)
		w.wantCalls(t, 1)
		w.mustVend(t)
	})
}

// TestSlotIsAlwaysReleased: script looks at the slots in the end.
func TestSlotIsAlwaysReleased(t *testing.T) {
	withFakeDwollaConfig(t, slots(1), func(t *testing.T, w *fakeDwolla) {
		for _, r := range []reply{{}, {status: 400}, {status: 500, retryAfter: "1"}, {cut: true}, {latency: time.Hour}, {body: "<html>"}} {
			w.always(r)
			_ = w.vend(t.Context()) // whatever it is
		}
		w.always(reply{latency: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantFailureOf(t, w.vend(ctx), clienttoken.UpstreamTimeout)
		w.always(reply{panics: true})
		w.wantPanic(t)
		w.always(reply{status: 429})
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.always(reply{})
		if err := w.customer(t); err != nil {
			t.Error(err)
		}
	})
}

func TestNoSlotIsHeldDuringThePause(t *testing.T) {
	withFakeDwollaConfig(t, slots(1), func(t *testing.T, w *fakeDwolla) {
		w.jitter = func(most time.Duration) time.Duration { return most }
		w.inTurn(reply{status: http.StatusInternalServerError}, reply{}, reply{})
		first := make(chan error)
		go func() { first <- w.vend(t.Context()) }()
		synctest.Wait()
		w.mustVend(t)
		if took := time.Since(w.begin); took != 0 {
			t.Errorf("waited %v", took)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitingForAnAccessTokenTakesNoSlot(t *testing.T) {
	withFakeDwollaConfig(t, slots(1), func(t *testing.T, w *fakeDwolla) {
		w.token.set(http.StatusOK, time.Second)
		waiting := make(chan error)
		go func() { waiting <- w.vend(t.Context()) }()
		synctest.Wait()
		w.wantSamples(t, "dropgate_dwolla_in_flight", map[string]float64{})
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	})
}

func TestAnOpenCircuitTakesNoSlot(t *testing.T) {
	withFakeDwollaConfig(t, slots(1), func(t *testing.T, w *fakeDwolla) {
		w.always(reply{status: http.StatusTooManyRequests})
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.always(reply{latency: time.Second})
		done := make(chan error)
		go func() { done <- w.customer(t) }() // takes the only one
		synctest.Wait()
		w.wantRejected(t, throttled, 5*time.Minute)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
