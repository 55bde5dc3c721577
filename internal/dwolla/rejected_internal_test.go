package dwolla

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
)

// rejects answers after a moment, while others send the same access token.
func rejects() reply {
	return reply{status: http.StatusUnauthorized, body: `{"code":"ExpiredAccessToken"}`, latency: 10 * time.Millisecond}
}

// accepts answers well to one of the access tokens, and rejects all others.
func accepts(n int) func(*http.Request) reply {
	return func(r *http.Request) reply {
		if r.Header.Get("Authorization") == fmt.Sprintf("Bearer at-%d", n) {
			return reply{}
		}
		return rejects()
	}
}

// wantComeAgain wants 503 without advice for the operator.
func wantComeAgain(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		failure, ok := errors.AsType[*clienttoken.Failure](err)
		if !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter < faultFor || failure.RetryAfter > maxBackOff || failure.Remedy != "" {
			t.Errorf("got %+v", err)
		}
	}
}

// wantPauses wants /token to have been asked so late after the time before.
func (e *tokenEndpoint) wantPauses(t *testing.T, within time.Duration, want ...time.Duration) {
	t.Helper()
	asked := e.calls()
	if len(asked) != len(want)+1 {
		t.Errorf("/token was asked at %v, want pauses of %v", asked, want)
		return
	}
	for i, pause := range want {
		if gap := asked[i+1] - asked[i]; gap < pause || gap > pause+within {
			t.Errorf("pause %d is %v, want %v", i, gap, pause)
		}
	}
}

// spendBudget leaves no retry.
func (w *fakeDwolla) spendBudget() {
	for w.budget.spend() {
		continue
	}
}

// All callers of the expired token are served, even in a service that was idle
// before.
func TestExpiredAccessTokenCostsOneRetry(t *testing.T) {
	const callers = 256
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.by(accepts(2))
		errs := atSameTime(callers, func(int) error { return w.vend(t.Context()) })
		if n := failures(errs); n != 0 {
			t.Errorf("%d failed", n)
		}
		w.wantCalls(t, 2*callers)
		if n := len(w.token.calls()); n != 2 {
			t.Errorf("/token was asked %d times", n)
		}
		if n := w.budget.total.retries; n != 1 {
			t.Errorf("%d retries were spent", n)
		}
		w.wantSamples(t, "dropgate_dwolla_retries_total", map[string]float64{"create_client_token access_token": callers})
		w.wantSamples(t, "dropgate_dwolla_rejected_total", map[string]float64{})
	})
}

func TestRejectedAccessTokenIsDiscardedWithoutARetry(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.spendBudget()
		w.by(accepts(2))
		wantComeAgain(t, w.vend(t.Context()))
		w.wantCalls(t, 1)
		w.wantSamples(t, "dropgate_dwolla_rejected_total", map[string]float64{"retry_budget": 1})
		w.mustVend(t)
		wantAsked(t, w.token, 0, rejects().latency)
	})
}

func TestSecondAttemptDiscardsARejectedAccessToken(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.inTurn(reply{status: http.StatusInternalServerError}, rejects(), reply{})
		wantComeAgain(t, w.vend(t.Context()))
		w.mustVend(t)
		if n := len(w.token.calls()); n != 2 {
			t.Errorf("/token was asked %d times", n)
		}
	})
}

// TestRejectedAccessTokensAreFetchedWithBackOff: Dwolla gives them, so the
// application is not to blame, and neither is the request.
func TestRejectedAccessTokensAreFetchedWithBackOff(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.tokens.jitter = func(most time.Duration) time.Duration { return most }
		w.jitter = func(time.Duration) time.Duration { return 0 }
		w.always(rejects())
		for range 600 { // a minute
			wantComeAgain(t, atSameTime(20, func(int) error { return w.vend(t.Context()) })...)
			pass(100 * time.Millisecond)
		}
		w.token.wantPauses(t, 200*time.Millisecond, seconds(0, 0, 1, 2, 4, 8, 10, 10, 10, 10)...) // none before the third
		w.wantCalls(t, 20*len(w.token.calls()))                                                   // by all who were there when there was one
		w.wantState(t, opToken, stateOpen)
		w.wantState(t, opCreateClientToken, stateClosed)
		if w.Fault() == nil {
			t.Error("nothing is missing")
		}
		w.wantLog(t, `"level":"error" "dwolla_code":"ExpiredAccessToken" rejects`)

		w.always(reply{})
		pass(maxBackOff)
		w.mustVend(t)
		w.wantState(t, opToken, stateClosed)
		w.wantLog(t, `"level":"info" again`)
	})
}

// An accepted token can expire any number of times without back-off. A refusal of
// the call itself also accepts the token.
func TestExpiringAccessTokenIsReplacedAtOnce(t *testing.T) {
	for status, want := range map[int]int{http.StatusOK: 0, http.StatusNotFound: budgetFloor} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
				w.jitter = func(time.Duration) time.Duration { return 0 }
				var errs []error
				for range budgetFloor {
					w.inTurn(rejects(), reply{status: status})
					errs = append(errs, w.vend(t.Context()))
					w.wantCalls(t, 2)
				}
				if n := failures(errs); n != want {
					t.Errorf("%d failed", n)
				}
				w.token.wantPauses(t, rejects().latency, make([]time.Duration, budgetFloor)...)
				w.wantLog(t, `"level":"warn" "dwolla_code":"ExpiredAccessToken" often`)
			})
		})
	}
}

// A fault does not mean Dwolla accepted the access token.
func TestAFaultIsNoAcceptance(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.inTurn(rejects(), reply{status: http.StatusInternalServerError}, rejects(), reply{cut: true}, rejects(), reply{})
		for range 3 {
			wantComeAgain(t, w.vend(t.Context()))
		}
		w.wantCalls(t, 5)
		w.wantState(t, opToken, stateOpen)
	})
}

func TestNothingIsLoggedAfterClose(t *testing.T) {
	withFakeDwolla(t, func(t *testing.T, w *fakeDwolla) {
		w.mustVend(t)
		w.always(rejects())
		wantComeAgain(t, w.vend(t.Context())) // of which two are none
		w.always(reply{status: http.StatusUnauthorized, body: `{"code":"InvalidAccessToken"}`, latency: time.Second})
		ended := make(chan error)
		go func() { ended <- w.vend(t.Context()) }() // with the next one
		pass(time.Second / 2)
		w.Close()
		wantFailureOf(t, <-ended, clienttoken.Unavailable)
		w.wantLog(t)
	})
}
