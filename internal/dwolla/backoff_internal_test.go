package dwolla

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
)

// TestThousandCallersFetchOneAccessToken uses the default number of slots. All
// callers are served.
func TestThousandCallersFetchOneAccessToken(t *testing.T) {
	withFakeDwollaConfig(t, Config{Timeout: 5 * time.Second}, func(t *testing.T, w *fakeDwolla) {
		w.token.set(http.StatusOK, 2*time.Second)
		w.always(reply{latency: 200 * time.Millisecond})
		errs := atSameTime(1000, func(int) error { return w.vend(t.Context()) })
		if n := failures(errs); n != 0 {
			t.Errorf("%d failed", n)
		}
		wantAsked(t, w.token, 0)
		w.wantCalls(t, 1000)
		if w.most != 256 {
			t.Errorf("%d at once", w.most)
		}
		if took := time.Since(w.begin); took != 2800*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// TestFailingTokenEndpointGetsOneRequestAtOnce, with back-off, while ten
// callers a second come, each with a deadline of its own.
func TestFailingTokenEndpointGetsOneRequestAtOnce(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		const patience = time.Second
		w.token.set(http.StatusServiceUnavailable, 3*time.Second)
		var callers sync.WaitGroup
		for range 600 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				begin := time.Now()
				if err := w.vend(ctx); err == nil {
					t.Error("no error")
				}
				if took := time.Since(begin); took > patience {
					t.Errorf("a caller waited %v", took)
				}
			})
			pass(100 * time.Millisecond)
		}
		callers.Wait()
		if w.token.most != 1 {
			t.Errorf("/token was asked by %d at a time", w.token.most)
		}
		if n := len(w.token.calls()); n < 5 || n > 10 {
			t.Errorf("/token was asked %d times in a minute: %v", n, w.token.calls())
		}
		w.wantCalls(t, 0)
		w.wantState(t, opCreateClientToken, stateClosed) // which is not to blame
	})
}

func TestTheBackOffIsShortenedAtRandom(t *testing.T) {
	different := map[time.Duration]bool{}
	for range 40 {
		inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
			s.jitter = upTo
			e.set(http.StatusServiceUnavailable, 0)
			for range 400 {
				_, err := s.get(t.Context())
				wantFailureOf(t, err, clienttoken.Unavailable)
				pass(100 * time.Millisecond)
			}
			asked := e.calls()
			for i, longest := range seconds(1, 2, 4, 8, 10, 10) {
				gap := asked[i+1] - asked[i]
				if gap < longest/2 || gap > longest+100*time.Millisecond {
					t.Errorf("pause %d is %v, want %v to %v", i, gap, longest/2, longest)
				}
				different[gap] = true
			}
		})
	}
	if len(different) < 20 {
		t.Errorf("there are %d different pauses alone", len(different))
	}
}

func TestThrottledTokenEndpointWaitsForRetryAfter(t *testing.T) {
	for header, quiet := range map[string]time.Duration{"": 5 * time.Minute, "90": 90 * time.Second} {
		t.Run("Retry-After: "+header, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.token.throttle(header)
				want := func(after time.Duration) {
					t.Helper()
					failure, ok := errors.AsType[*clienttoken.Failure](w.vend(t.Context()))
					if !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter != after {
						t.Errorf("got %v, retry after %v, want %v", failure, failure.RetryAfter, after)
					}
				}
				want(quiet)
				w.wantState(t, opToken, stateOpen)
				w.takeLog()
				w.token.set(http.StatusOK, 0)
				pass(time.Minute)
				want(quiet - time.Minute)
				pass(quiet - time.Minute - 1)
				want(faultFor) // no caller is told less
				wantAsked(t, w.token, 0)
				pass(1) // and nobody calls
				w.wantState(t, opToken, stateClosed)
				w.mustVend(t)
				wantAsked(t, w.token, 0, quiet)
				w.wantSamples(t, "dropgate_dwolla_rejected_total", map[string]float64{"access_token": 2})
				w.wantLog(t, `"level":"info" again`)
			})
		})
	}
}

// During the back-off callers fail at once, as with an open circuit. Only refused
// credentials keep their own code.
func TestNobodyIsKeptWaitingDuringTheBackOff(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		latency    time.Duration
		first      clienttoken.Code
		then       clienttoken.Code
		retryAfter time.Duration
	}{
		"hangs":   {http.StatusOK, time.Hour, clienttoken.UpstreamTimeout, clienttoken.Unavailable, faultFor},
		"504":     {http.StatusGatewayTimeout, 0, clienttoken.UpstreamTimeout, clienttoken.Unavailable, faultFor},
		"500":     {http.StatusInternalServerError, 0, clienttoken.Unavailable, clienttoken.Unavailable, faultFor},
		"302":     {http.StatusFound, 0, clienttoken.UpstreamError, clienttoken.Unavailable, faultFor},
		"refuses": {http.StatusUnauthorized, 0, clienttoken.UpstreamError, clienttoken.UpstreamError, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.token.set(test.status, test.latency)
				wantFailureOf(t, w.vend(t.Context()), test.first)
				began := time.Now()
				err := w.vend(t.Context())
				wantFailureOf(t, err, test.then)
				if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.RetryAfter != test.retryAfter {
					t.Errorf("got %v, retry after %v", err, failure.RetryAfter)
				}
				_, err = w.tokens.renewed() // for one that saw no failure, and came after the fetch
				wantFailureOf(t, err, test.then)
				if took := time.Since(began); took != 0 {
					t.Errorf("waited %v", took)
				}
				wantAsked(t, w.token, 0)
			})
		})
	}
}

func TestThrottledRenewalKeepsTheOldAccessToken(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		e.throttle("60")
		pass(800 * time.Second)
		e.set(http.StatusOK, 0)
		pass(59 * time.Second)
		wantToken(t, s, "at-1")
		wantAsked(t, e, seconds(0, 800)...)
		pass(time.Second)
		wantToken(t, s, "at-3")
		wantAsked(t, e, seconds(0, 800, 860)...)
	})
}

func TestTokenEndpointStateFollowsBackOff(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.tokens.jitter = func(most time.Duration) time.Duration { return most }
		w.token.set(http.StatusInternalServerError, time.Second/2)
		wantFailureOf(t, w.vend(t.Context()), clienttoken.Unavailable)
		w.wantState(t, opToken, stateOpen)
		pass(time.Second)
		w.wantState(t, opToken, stateHalfOpen) // it is being asked
		pass(time.Second / 2)
		w.wantState(t, opToken, stateOpen)
		w.token.set(http.StatusOK, 0)
		pass(2 * time.Second)
		w.wantState(t, opToken, stateClosed)
	})
}

// TestRunFetchesTheFirstAccessToken also covers an outage from the start, reported
// by Fault.
func TestRunFetchesTheFirstAccessToken(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.token.set(http.StatusInternalServerError, time.Second)
		if err := w.Fault(); err != nil {
			t.Errorf("before it was asked for: %v", err)
		}
		w.Run(t.Context())
		if w.Fault() == nil {
			t.Error("nothing is missing")
		}
		pass(time.Hour)
		if w.Fault() == nil {
			t.Error("nothing is missing any more")
		}
		w.token.set(http.StatusOK, 0)
		pass(maxBackOff + time.Second)
		if err := w.Fault(); err != nil {
			t.Errorf("is missing still: %v", err)
		}
		n := len(w.token.calls())
		w.mustVend(t)
		pass(7 * time.Hour) // of the ten that it lives
		if got := len(w.token.calls()); got != n {
			t.Errorf("/token was asked %d times, and then %d times", n, got-n)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.token.set(http.StatusOK, time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Run(ctx)
		if took := time.Since(w.begin); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}
