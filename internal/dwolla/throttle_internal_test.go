package dwolla

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
)

func TestThrottleOpensTheCircuitWithoutARetry(t *testing.T) {
	for header, quiet := range map[string]time.Duration{
		"": 5 * time.Minute, "30": 30 * time.Second, "soon": 5 * time.Minute, "0": 5 * time.Minute, "86400": 10 * time.Minute,
		// Fake time begins with the year 2000.
		"Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second, "Sun, 02 Jan 2000 00:00:00 GMT": 10 * time.Minute, "Fri, 31 Dec 1999 23:59:00 GMT": 5 * time.Minute,
	} {
		t.Run("Retry-After: "+header, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.mustVend(t)
				w.always(reply{status: http.StatusTooManyRequests, retryAfter: header})
				err := w.vend(t.Context())
				failure, ok := errors.AsType[*clienttoken.Failure](err)
				if !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter != quiet || failure.DwollaRequestID != "req-1" {
					t.Errorf("got %v, retry after %v", err, failure.RetryAfter)
				}
				w.wantCalls(t, 1)
				w.wantState(t, opCreateClientToken, stateOpen)
				for _, left := range []time.Duration{quiet, quiet - 500*time.Millisecond, 10 * time.Second} {
					pass(time.Until(w.begin.Add(quiet - left)))
					w.wantRejected(t, throttled, left)
				}
				pass(time.Until(w.begin.Add(quiet - 1)))
				w.wantRejected(t, throttled, time.Second) // no caller is told less
				w.wantState(t, opCreateClientToken, stateOpen)
				w.always(reply{})
				pass(1)
				w.wantState(t, opCreateClientToken, stateHalfOpen) // and nobody called
				w.mustVend(t)
				w.wantState(t, opCreateClientToken, stateClosed)
				w.wantSamples(t, "dropgate_dwolla_retries_total", map[string]float64{})
				w.wantSamples(t, "dropgate_dwolla_rejected_total", map[string]float64{"throttled": 4})
			})
		})
	}
}

func TestAThrottleIsOfOneOperation(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.always(reply{status: http.StatusTooManyRequests})
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.always(reply{})
		if err := w.customer(t); err != nil {
			t.Error(err)
		}
		if err := w.owners(t); err != nil {
			t.Error(err)
		}
		w.wantRejected(t, throttled, 5*time.Minute)
		w.wantSamples(t, "dropgate_dwolla_circuit_state", map[string]float64{"create_client_token": stateOpen})
	})
}

func TestCut429IsAThrottle(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.always(reply{status: http.StatusTooManyRequests, retryAfter: "60", cut: true})
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.wantCalls(t, 1)
		w.wantRejected(t, throttled, time.Minute)
	})
}

// throttle leaves w where a probe is due.
func (w *fakeDwolla) throttle(t *testing.T) {
	t.Helper()
	w.always(reply{status: http.StatusTooManyRequests, retryAfter: "10"})
	wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
	pass(10 * time.Second)
	w.takeLog()
}

func TestASingleProbeGoesThrough(t *testing.T) {
	open := map[rejection]func(*testing.T, *fakeDwolla){
		throttled: func(t *testing.T, w *fakeDwolla) { t.Helper(); w.throttle(t) },
		circuitOpen: func(t *testing.T, w *fakeDwolla) {
			t.Helper()
			w.fail(t, leastCalls)
			pass(openFor + 1)
		},
	}
	for reason, open := range open {
		t.Run(string(reason), func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				open(t, w)
				w.wantState(t, opCreateClientToken, stateHalfOpen)
				w.always(reply{latency: time.Second})
				probe := make(chan error)
				go func() { probe <- w.vend(t.Context()) }()
				synctest.Wait()
				for range 100 {
					w.wantRejected(t, reason, time.Second)
				}
				if err := <-probe; err != nil {
					t.Error(err)
				}
				w.wantCalls(t, 1)
				w.wantState(t, opCreateClientToken, stateClosed)
				errs := atSameTime(100, func(int) error { return w.vend(t.Context()) })
				if n := failures(errs); n != 0 {
					t.Errorf("%d callers were refused by a closed circuit", n)
				}
			})
		})
	}
}

func TestThrottledProbeReopensTheCircuit(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.throttle(t)
		w.always(reply{status: http.StatusTooManyRequests, retryAfter: "20"})
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.wantCalls(t, 1)
		w.wantRejected(t, throttled, 20*time.Second)
		w.wantLog(t)
		w.always(reply{})
		pass(20 * time.Second)
		w.mustVend(t)
		w.wantState(t, opCreateClientToken, stateClosed)
		w.wantLog(t, `"level":"info" "operation":"create_client_token" closed`)
	})
}

func TestInconclusiveProbeIsRepeated(t *testing.T) {
	for name, probe := range map[string]func(t *testing.T, w *fakeDwolla){
		"canceled": func(t *testing.T, w *fakeDwolla) {
			t.Helper()
			w.always(reply{latency: time.Hour})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := w.vend(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		},
		"timed out": func(t *testing.T, w *fakeDwolla) {
			t.Helper()
			w.always(reply{latency: time.Hour})
			wantFailureOf(t, w.vend(t.Context()), clienttoken.UpstreamTimeout)
		},
		"a fault": func(t *testing.T, w *fakeDwolla) {
			t.Helper()
			w.always(reply{status: 501})
			wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		},
		"a panic": func(t *testing.T, w *fakeDwolla) {
			t.Helper()
			w.always(reply{panics: true})
			w.wantPanic(t)
		},
		"no slot": func(t *testing.T, w *fakeDwolla) {
			t.Helper()
			taken := 0
			for w.bulkhead.Enter(t.Context(), time.Now()) == nil {
				taken++
			}
			wantRejection(t, w.vend(t.Context()), queueTimeout, time.Second)
			for range taken {
				w.bulkhead.Leave()
			}
		},
		"no access token": func(t *testing.T, w *fakeDwolla) {
			t.Helper()
			w.tokens.discard(w.tokens.current, noLongerGood())
			w.token.set(http.StatusInternalServerError, 0)
			wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
			w.token.set(http.StatusOK, 0)
			pass(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.throttle(t)
				probe(t, w)
				w.wantState(t, opCreateClientToken, stateHalfOpen)
				w.always(reply{})
				w.mustVend(t)
				w.wantCalls(t, 1)
				w.wantState(t, opCreateClientToken, stateClosed)
			})
		})
	}
}

// wantPanic vends, and wants the transport's panic to come through.
func (w *fakeDwolla) wantPanic(t *testing.T) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_ = w.vend(t.Context()) // which does not return
}

func TestEarlierResponseDoesNotEndTheThrottle(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.inTurn(reply{latency: 4 * time.Second}, reply{status: 429, retryAfter: "2"})
		early := make(chan error, 1)
		go func() { early <- w.vend(t.Context()) }()
		synctest.Wait()
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.wantRejected(t, throttled, 2*time.Second)
		if err := <-early; err != nil { // when a probe is due
			t.Error(err)
		}
		w.wantState(t, opCreateClientToken, stateHalfOpen)
	})
}

func TestSuccessfulProbeKeepsALaterThrottle(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.inTurn(
			reply{status: 429, retryAfter: "60", latency: 4 * time.Second}, // at 4 s
			reply{status: 429, retryAfter: "2"},                            // at once
			reply{latency: 3 * time.Second},                                // the probe, from 2 s to 5 s
			reply{},
		)
		late := make(chan error, 2)
		go func() { late <- w.vend(t.Context()) }()
		synctest.Wait()
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		pass(2 * time.Second)
		w.mustVend(t) // the probe
		wantFailureOf(t, <-late, clienttoken.Unavailable)
		w.wantState(t, opCreateClientToken, stateOpen)
		w.wantRejected(t, throttled, 59*time.Second)
	})
}

func TestShortThrottleDoesNotShortenALongOne(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.inTurn(reply{status: 429, retryAfter: "2", latency: time.Second}, reply{status: 429, retryAfter: "60"})
		late := make(chan error, 1)
		go func() { late <- w.vend(t.Context()) }()
		synctest.Wait()
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		wantFailureOf(t, <-late, clienttoken.Unavailable)
		w.wantRejected(t, throttled, 59*time.Second)
	})
}

func TestProbeWaitsForTheFaultCircuit(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		n := 0
		w.by(func(*http.Request) reply {
			if n++; n <= leastCalls {
				return reply{status: http.StatusNotImplemented, latency: 2 * time.Second}
			}
			return reply{status: http.StatusTooManyRequests, retryAfter: "3"}
		})
		var callers sync.WaitGroup
		for range leastCalls {
			callers.Go(func() { wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable) })
		}
		synctest.Wait()
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		callers.Wait() // for the faults, which open the circuit at 2 s until 7 s
		w.always(reply{})
		pass(time.Second)
		w.wantRejected(t, circuitOpen, 4*time.Second)
		pass(4*time.Second + 1)
		w.mustVend(t)
		w.wantState(t, opCreateClientToken, stateClosed)
	})
}

func TestThrottleChangeIsOneLogLine(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(reply{status: http.StatusTooManyRequests, latency: time.Second})
		errs := atSameTime(50, func(int) error { return w.vend(t.Context()) })
		if n := failures(errs); n != 50 {
			t.Errorf("%d failed", n)
		}
		for range 50 {
			w.wantRejected(t, throttled, 5*time.Minute)
		}
		w.wantLog(t, `"level":"warn" "operation":"create_client_token" "open_for_ms":300000 "dwolla_request_id":"req-1" 429`)
		pass(5 * time.Minute)
		w.always(reply{})
		for range 50 {
			w.mustVend(t)
		}
		w.wantLog(t, `"level":"info" "operation":"create_client_token" closed`)
	})
}
