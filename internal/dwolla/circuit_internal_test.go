package dwolla

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
)

// fail makes n calls that fail without a retry.
func (w *fakeDwolla) fail(t *testing.T, n int) {
	t.Helper()
	w.always(reply{status: http.StatusNotImplemented})
	for range n {
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
	}
}

func TestFaultsOpenTheCircuitForAFewSeconds(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.fail(t, leastCalls-1)
		w.wantState(t, opCreateClientToken, stateClosed)
		w.fail(t, 1)
		w.wantState(t, opCreateClientToken, stateOpen)
		w.wantLog(t, `"level":"warn" "operation":"create_client_token" "open_for_ms":5000 501`)
		w.always(reply{})
		w.wantRejected(t, circuitOpen, 5*time.Second)
		pass(2 * time.Second)
		w.wantRejected(t, circuitOpen, 3*time.Second)
		pass(3 * time.Second)
		w.wantRejected(t, circuitOpen, time.Second)
		pass(1)
		w.wantState(t, opCreateClientToken, stateHalfOpen) // and nobody called
		w.wantSamples(t, "dropgate_dwolla_rejected_total", map[string]float64{"circuit_open": 3})
		w.mustVend(t)
		w.wantState(t, opCreateClientToken, stateClosed)
		w.wantLog(t, `"level":"info" "operation":"create_client_token" closed`)
		w.wantCalls(t, 1)
	})
}

func TestACircuitIsOfOneOperation(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.fail(t, leastCalls)
		w.always(reply{})
		if err := errors.Join(w.customer(t), w.owners(t)); err != nil {
			t.Error(err)
		}
		w.wantRejected(t, circuitOpen, 5*time.Second)
	})
}

func TestAnOutageThatLastsIsOneLogLine(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.fail(t, leastCalls)
		for range 600 { // ten minutes
			pass(time.Second)
			if err := w.vend(t.Context()); err == nil {
				t.Error("no error")
			}
		}
		if n := len(w.calls()) - leastCalls; n < 90 || n > 120 {
			t.Errorf("%d probes in ten minutes", n)
		}
		w.wantLog(t, "warn")
		w.always(reply{})
		pass(6 * time.Second)
		w.mustVend(t)
		w.wantLog(t, "info")
	})
}

func TestFewerFaultsThanHalfOpenNothing(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		for range 500 {
			w.fail(t, 1)
			w.always(reply{})
			w.mustVend(t)
			w.mustVend(t)
			pass(10 * time.Millisecond)
		}
		w.wantLog(t, `"level":"warn" "operation":"create_client_token" 501 some`)
		w.wantState(t, opCreateClientToken, stateClosed)
	})
}

func TestFaultsOfLongAgoOpenNothing(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		for range 10 {
			w.fail(t, leastCalls-1)
			pass(faultWindow + w.timeout)
			w.wantState(t, opCreateClientToken, stateClosed)
		}
	})
}

func TestWhatIsAFaultAndWhatIsNone(t *testing.T) {
	isFault := map[string]reply{
		"500": {status: 500, retryAfter: "1"}, "501": {status: 501}, "502": {status: 502, retryAfter: "1"}, "599": {status: 599},
		"a redirect": {status: 302}, "no JSON": {body: "<html>"}, "no token": {body: "{}"}, "too large": {body: strings.Repeat(" ", maxBody+1)},
		"reset": {err: io.ErrUnexpectedEOF}, "cut": {cut: true}, "cut in a refusal": {cut: true, status: 400}, "too slow": {latency: time.Hour},
	}
	for name, fault := range isFault {
		t.Run(name, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.mustVend(t)
				w.always(fault)
				atSameTime(leastCalls, func(int) error { return w.vend(t.Context()) })
				w.wantState(t, opCreateClientToken, stateOpen)
			})
		})
	}
	for _, status := range []int{400, 401, 403, 404, 408, 409, 418} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.always(reply{status: status})
				for range 3 * leastCalls {
					wantFailureOf(t, w.vend(t.Context()), clienttoken.UpstreamError)
				}
				w.wantState(t, opCreateClientToken, stateClosed)
			})
		})
	}
}

// A timeout must count even if it is longer than the breaker's window.
func TestTimeoutsOpenTheCircuitHoweverLongTheyTake(t *testing.T) {
	for _, timeout := range []time.Duration{100 * time.Millisecond, 5 * time.Second, 10 * time.Second} {
		t.Run(timeout.String(), func(t *testing.T) {
			withFakeDwollaConfig(t, Config{Timeout: timeout, MaxConcurrent: 100}, func(t *testing.T, w *fakeDwolla) {
				w.always(reply{latency: time.Hour})
				errs := atSameTime(leastCalls, func(int) error { return w.vend(t.Context()) })
				for _, err := range errs {
					wantFailureOf(t, err, clienttoken.UpstreamTimeout)
				}
				w.wantState(t, opCreateClientToken, stateOpen)
				w.wantCalls(t, leastCalls) // none was retried
			})
		})
	}
}

func TestACancelledCallerIsNoFault(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(reply{latency: time.Hour})
		errs := atSameTime(10*leastCalls, func(i int) error {
			if i%2 == 0 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				return w.vend(ctx)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // the caller's own
			defer cancel()
			return w.vend(ctx)
		})
		for i, err := range errs {
			if i%2 == 1 {
				wantFailureOf(t, err, clienttoken.UpstreamTimeout)
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		w.wantState(t, opCreateClientToken, stateClosed)
		w.wantCalls(t, 10*leastCalls) // nobody's was tried again
		if n := w.budget.total.retries; n != 0 {
			t.Errorf("%d retries were spent", n)
		}
		w.wantLog(t)
		w.always(reply{})
		w.mustVend(t)
	})
}

func TestACancelledProbeIsFollowedByAnother(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.fail(t, leastCalls)
		pass(openFor + 1)
		w.always(reply{latency: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantFailureOf(t, w.vend(ctx), clienttoken.UpstreamTimeout)
		w.wantState(t, opCreateClientToken, stateHalfOpen)
		w.always(reply{panics: true})
		w.wantPanic(t)
		w.always(reply{status: http.StatusBadRequest}) // an answer is an answer
		wantFailureOf(t, w.vend(t.Context()), clienttoken.UpstreamError)
		w.wantState(t, opCreateClientToken, stateClosed)
	})
}

func TestThrottledProbeThrottlesTheOperation(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.fail(t, leastCalls)
		pass(openFor + 1)
		w.always(reply{status: http.StatusTooManyRequests, retryAfter: "60"})
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.wantRejected(t, throttled, time.Minute)
		w.always(reply{})
		pass(time.Minute)
		w.mustVend(t)
		w.wantState(t, opCreateClientToken, stateClosed)
	})
}

// An open circuit must not report a Customer as unknown, because that ends the
// link.
func TestAnOpenCircuitSaysNothingAboutACustomer(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.always(reply{status: http.StatusTooManyRequests})
		for range 3 {
			err := w.customer(t)
			wantFailureOf(t, err, clienttoken.Unavailable)
			if errors.Is(err, clienttoken.ErrUnknownCustomer) {
				t.Errorf("got %v", err)
			}
		}
		w.wantCalls(t, 1)
	})
}

func TestMetricsExistFromTheStart(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		for name, want := range map[string]int{
			"dropgate_dwolla_circuit_state": 4, "dropgate_dwolla_in_flight": 1,
			"dropgate_dwolla_rejected_total": 6, "dropgate_dwolla_retries_total": 18,
		} {
			if got := w.samples(t, name); len(got) != want {
				t.Errorf("%s has %d series, want %d: %v", name, len(got), want, got)
			}
			w.wantSamples(t, name, map[string]float64{})
		}
		for _, op := range append(operations(), opToken) {
			if _, ok := w.samples(t, "dropgate_dwolla_circuit_state")[string(op)]; !ok {
				t.Errorf("%s has no state", op)
			}
		}
	})
}
