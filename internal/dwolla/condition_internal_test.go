package dwolla

import (
	"slices"
	"testing"
	"time"
)

// A small tenant never has the calls that open a circuit.
func TestTotalFailureOfFewCallsIsLoggedAndShown(t *testing.T) {
	const name = "dropgate_dwolla_failing"
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		for range failingAfter - 1 {
			w.fail(t, 1)
			pass(time.Minute)
		}
		w.wantSamples(t, name, nil)
		w.wantLog(t)
		w.fail(t, 1)
		w.wantSamples(t, name, map[string]float64{"create_client_token": 1})
		pass(warnAfter)
		w.wantLog(t, `"level":"warn" "operation":"create_client_token" "failed_in_a_row":4 501 every`)
		if got := w.Degraded(); !slices.Equal(got, []string{"the last 4 requests failed (create_client_token)"}) {
			t.Errorf("degraded: %q", got)
		}
		for range 60 { // one line for the whole outage
			pass(time.Minute)
			w.fail(t, 1)
		}
		w.wantLog(t)
		w.always(reply{})
		w.mustVend(t)
		w.wantLog(t, `"level":"info" "operation":"create_client_token" longer`)
		w.wantSamples(t, name, nil)
		if got := w.Degraded(); got != nil {
			t.Errorf("degraded after the recovery: %q", got)
		}
	})
}

func TestThrottleAndOpenCircuitAreNamedWithTheirEnds(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.fail(t, leastCalls)
		until := time.Now().Add(openFor).UTC().Format(time.RFC3339)
		if got := w.Degraded(); !slices.Equal(got, []string{"circuit open until " + until + " (create_client_token)"}) {
			t.Errorf("degraded: %q", got)
		}
	})
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.always(reply{status: 429, retryAfter: "20"})
		_ = w.vend(t.Context())
		until := time.Now().Add(20 * time.Second).UTC().Format(time.RFC3339)
		if got := w.Degraded(); !slices.Equal(got, []string{"throttled until " + until + " (create_client_token)"}) {
			t.Errorf("degraded: %q", got)
		}
		pass(21 * time.Second)
		if got := w.Degraded(); got != nil {
			t.Errorf("degraded after the throttle: %q", got)
		}
	})
}

func TestLateDwollaIsLoggedWithItsEnd(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(reply{latency: lateAfter})
		for range lateAnswers - 1 {
			w.mustVend(t)
		}
		w.wantLog(t)
		for range 60 { // one line, however long it lasts
			w.mustVend(t)
			pass(time.Minute)
		}
		w.wantLog(t, `"level":"warn" "operation":"create_client_token" "took_ms":500 "late_in_a_row":8 late`)
		w.always(reply{latency: lateAfter - time.Millisecond})
		w.mustVend(t)
		w.mustVend(t)
		w.wantLog(t, `"level":"info" "operation":"create_client_token" time`)
	})
}

// failsRarely makes one request in four fail for a while.
func (w *fakeDwolla) failsRarely(t *testing.T, d time.Duration) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < d; pass(100 * time.Millisecond) {
		w.fail(t, 1)
		w.always(reply{})
		for range 3 {
			w.mustVend(t)
		}
	}
}

func TestFailuresAmongSuccessesAreLoggedOnce(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.failsRarely(t, 10*time.Minute)
		w.wantLog(t, `"level":"warn" "operation":"create_client_token" 501 some`)
		pass(time.Minute)
		w.wantLog(t, `"level":"info" "operation":"create_client_token" longer`)
		w.failsRarely(t, time.Second/2)
		pass(time.Minute)
		w.wantLog(t, `"level":"warn" some`, `"level":"info" longer`)
	})
}
