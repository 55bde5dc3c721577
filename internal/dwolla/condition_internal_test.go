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
