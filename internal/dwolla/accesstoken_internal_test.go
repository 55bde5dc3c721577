package dwolla

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"dropgate/internal/clienttoken"
)

func TestAccessTokenIsRenewedBeforeItExpires(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		pass(799 * time.Second)
		wantAsked(t, e, seconds(0)...)
		pass(time.Second)
		wantAsked(t, e, seconds(0, 800)...)
		wantToken(t, s, "at-2")
		pass(1599*time.Second - time.Since(e.begin))
		wantAsked(t, e, seconds(0, 800)...)
		pass(time.Second)
		wantAsked(t, e, seconds(0, 800, 1600)...)
	})
}

func TestNoCallerWaitsForARenewal(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		e.set(http.StatusOK, 3*time.Second)
		pass(801 * time.Second) // the renewal is under way
		wantAsked(t, e, seconds(0, 800)...)
		for range 10 {
			wantToken(t, s, "at-1")
		}
		pass(2 * time.Second)
		wantToken(t, s, "at-2")
		wantAsked(t, e, seconds(0, 800)...)
	})
}

func TestFailedRenewalKeepsTheOldAccessToken(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		e.set(http.StatusInternalServerError, 0)
		for time.Since(e.begin) < 840*time.Second {
			pass(time.Second)
			wantToken(t, s, "at-1")
		}
		wantAsked(t, e, seconds(0, 800, 801, 803, 807, 815, 825, 835)...)
		e.set(http.StatusOK, 0)
		pass(5 * time.Second)
		wantToken(t, s, "at-9")

		// The next outage starts over with a second.
		e.set(http.StatusInternalServerError, 0)
		pass(1649*time.Second - time.Since(e.begin))
		wantToken(t, s, "at-9")
		wantAsked(t, e, seconds(0, 800, 801, 803, 807, 815, 825, 835, 845, 1645, 1646, 1648)...)
	})
}

func TestExpiredAccessTokenIsRequestedWithBackOff(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		e.set(http.StatusInternalServerError, 0)
		pass(1000*time.Second - 1)
		wantToken(t, s, "at-1")
		pass(1)
		before := len(e.calls())
		for range 600 { // a minute
			wantFailures(t, s, 20, clienttoken.Unavailable)
			pass(100 * time.Millisecond)
		}
		asked := e.calls()
		if n := len(asked) - before; n < 5 || n > 6 {
			t.Errorf("/token was asked %d times in a minute: %v", n, asked)
		}
		for i := before; i < len(asked); i++ {
			if gap := asked[i] - asked[i-1]; gap < maxBackOff {
				t.Errorf("asked again after %v: %v", gap, asked)
			}
		}
		e.set(http.StatusOK, 0)
		pass(maxBackOff)
		if _, err := s.get(t.Context()); err != nil {
			t.Errorf("did not heal: %v", err)
		}
	})
}

func TestInitialOutageIsProbedWithBackOff(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		e.set(http.StatusServiceUnavailable, 0)
		for range 600 {
			wantFailures(t, s, 20, clienttoken.Unavailable)
			pass(100 * time.Millisecond)
		}
		wantAsked(t, e, seconds(0, 1, 3, 7, 15, 25, 35, 45, 55)...)
		pass(20 * time.Second) // and nobody calls
		wantAsked(t, e, seconds(0, 1, 3, 7, 15, 25, 35, 45, 55, 65, 75)...)
	})
}

func TestLeavingCallerDoesNotFailTheOthers(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		e.set(http.StatusOK, 2*time.Second)
		canceled, cancel := context.WithCancel(t.Context())
		hurried, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer stop()
		time.AfterFunc(100*time.Millisecond, cancel)
		var callers sync.WaitGroup
		call := func(ctx context.Context, after time.Duration, check func(error) bool) {
			callers.Go(func() {
				_, err := s.get(ctx)
				if took := time.Since(e.begin); took != after || !check(err) {
					t.Errorf("after %v: %v, want an end after %v", took, err, after)
				}
			})
		}
		call(canceled, 100*time.Millisecond, func(err error) bool {
			_, failed := errors.AsType[*clienttoken.Failure](err)
			return errors.Is(err, context.Canceled) && !failed
		})
		call(hurried, 500*time.Millisecond, func(err error) bool {
			failure, failed := errors.AsType[*clienttoken.Failure](err)
			return failed && failure.Code == clienttoken.UpstreamTimeout
		})
		for range 100 {
			call(t.Context(), 2*time.Second, func(err error) bool { return err == nil })
		}
		callers.Wait()
		wantAsked(t, e, seconds(0)...)
	})
}

func TestAFetchIsBoundedByTheTimeout(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		e.set(http.StatusOK, time.Hour)
		_, err := s.get(t.Context())
		failure, ok := errors.AsType[*clienttoken.Failure](err)
		if took := time.Since(e.begin); !ok || failure.Code != clienttoken.UpstreamTimeout || took != 5*time.Second {
			t.Errorf("got %v after %v", err, took)
		}
	})
}

func TestAccessTokenLifeIsBounded(t *testing.T) {
	tests := map[string]time.Duration{
		`,"expires_in":3599`:        3599 * time.Second,
		`,"expires_in":"3600"`:      time.Hour,
		`,"expires_in":1`:           time.Second,
		`,"expires_in":86401`:       longestLife,
		`,"expires_in":99999999999`: longestLife,
		`,"expires_in":0`:           assumedLife,
		`,"expires_in":-1`:          assumedLife,
		`,"expires_in":null`:        assumedLife,
		``:                          assumedLife,
	}
	for member, life := range tests {
		t.Run(member, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
				e.expires = member
				token, err := s.get(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got := token.expires.Sub(e.begin); got != life {
					t.Errorf("lives %v, want %v", got, life)
				}
				pass(life/5*4 - 1)
				wantAsked(t, e, 0)
				pass(1)
				wantAsked(t, e, 0, life/5*4)
			})
		})
	}
	for _, member := range []string{`,"expires_in":"soon"`, `,"expires_in":1e40`, `,"expires_in":{}`} {
		t.Run(member, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
				e.expires = member
				wantFailures(t, s, 1, clienttoken.UpstreamError)
			})
		})
	}
}

func TestTheLifeIsCountedFromTheRequest(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		e.set(http.StatusOK, 2*time.Second)
		token, err := s.get(t.Context())
		if err != nil || token.expires.Sub(e.begin) != 1000*time.Second {
			t.Errorf("expires after %v, %v", token.expires.Sub(e.begin), err)
		}
		if got := token.renew.Sub(e.begin); got != 800*time.Second {
			t.Errorf("renewed after %v", got)
		}
	})
}

func TestTheGaugeFollowsTheAccessToken(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		want := func(after int64) {
			t.Helper()
			if got := int64(testutil.ToFloat64(s.metrics.expiry)); got != after {
				t.Errorf("the gauge is %d, want %d", got, after)
			}
		}
		want(0)
		wantToken(t, s, "at-1")
		want(e.begin.Unix() + 1000)
		pass(800 * time.Second)
		want(e.begin.Unix() + 1800)
		e.set(http.StatusInternalServerError, 0)
		pass(2000 * time.Second)
		want(e.begin.Unix() + 1800)
	})
}

func TestOnlyTheRejectedTokenIsForgotten(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		first, err := s.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.discard(first, noLongerGood())
		wantToken(t, s, "at-2")
		s.discard(first, noLongerGood()) // by somebody who was slow
		wantToken(t, s, "at-2")
		wantAsked(t, e, 0, 0)
		pass(800 * time.Second)
		wantAsked(t, e, 0, 0, 800*time.Second)
	})
}

func TestLateCallerKeepsYoungToken(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		got, err := s.renewed() // one that saw no token, and came after the fetch
		if token, ok := got.(*accessToken); err != nil || !ok || token.secret.Reveal() != "at-1" {
			t.Errorf("got %v, %v", got, err)
		}
		wantAsked(t, e, 0)
	})
}

func TestLateCallerDoesNotRepeatFailedFetch(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		e.set(http.StatusInternalServerError, 0)
		wantFailures(t, s, 1, clienttoken.Unavailable)
		_, err := s.renewed() // one that saw no failure, and came after the fetch
		if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.Code != clienttoken.Unavailable {
			t.Errorf("got %v", err)
		}
		wantAsked(t, e, 0)
	})
}

func TestLateCallerGetsOldTokenDuringFailedRenewal(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		e.set(http.StatusInternalServerError, 0)
		pass(800*time.Second + 500*time.Millisecond)
		got, err := s.renewed()
		if token, ok := got.(*accessToken); err != nil || !ok || token.secret.Reveal() != "at-1" {
			t.Errorf("got %v, %v", got, err)
		}
		wantAsked(t, e, seconds(0, 800)...)
	})
}

func TestDiscardedTokenIsNotUsedDuringAnOutage(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		first, err := s.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e.set(http.StatusInternalServerError, 0)
		s.discard(first, noLongerGood())
		wantFailures(t, s, 10, clienttoken.Unavailable)
		wantAsked(t, e, 0, 0)
	})
}
