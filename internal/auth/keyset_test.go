package auth_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/clienttoken"
)

// The documented intervals.
const (
	fetchEvery   = 30 * time.Second
	refreshEvery = 5 * time.Minute
)

func TestUnknownKeysCauseOneFetchPer30Seconds(t *testing.T) {
	good := document(map[string]any{"issuer": issuer, "jwks_uri": issuer + jwks})
	for name, page := range map[string]http.HandlerFunc{
		"provider answers":              good,
		"provider is slow":              after(4*time.Second, good),
		"provider fails":                status(http.StatusInternalServerError),
		"provider does not answer":      after(time.Hour, good),
		"provider fails after a moment": after(time.Second, status(http.StatusBadGateway)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(published()...))
				w.run(t)
				w.idp.serve(discovery, page)
				sendThousandForgedTokens(t, w)
				fetches := w.idp.fetched()
				if len(fetches) < 15 || len(fetches) > 21 {
					t.Errorf("%d fetches in 10 minutes of unknown keys, want about 20", len(fetches))
				}
				if gap := leastGap(fetches); gap < fetchEvery {
					t.Errorf("two fetches within %v", gap)
				}
			})
		})
	}
}

// sendThousandForgedTokens sends them at random times within 10 minutes.
func sendThousandForgedTokens(t *testing.T, w *harness) {
	t.Helper()
	var strangers sync.WaitGroup
	for i := range 1000 {
		strangers.Go(func() {
			<-time.After(rand.N(10 * time.Minute))
			if got := w.ask(forged(fmt.Sprint("kid ", i))); got != refused && got != unavailable {
				t.Errorf("a forged token: %s", got)
			}
		})
	}
	strangers.Wait()
}

func leastGap(times []time.Time) time.Duration {
	least := time.Duration(math.MaxInt64)
	for i, at := range times[1:] {
		least = min(least, at.Sub(times[i]))
	}
	return least
}

// rotations lists how providers name the old and the new key.
var rotations = map[string]struct{ before, after object }{
	"another kid":  {header(object{"kid": "2026-01"}), header(object{"kid": "2026-02"})},
	"the same kid": {header(nil), header(nil)},
	"no kid":       {header(object{"kid": absent{}}), header(object{"kid": absent{}})},
}

func TestRotatedKeyIsAcceptedWithin30SecondsUnderLoad(t *testing.T) {
	for name, r := range rotations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(public(kidOf(r.before), rsaKey())))
				w.run(t)
				w.want(t, alice, sign(rsaKey(), r.before, claims(nil)))
				go sendForgedTokens(t.Context(), w)
				advance(95 * time.Second)
				w.idp.publish(public(kidOf(r.after), otherKey()))
				w.checkRecovers(t, sign(otherKey(), r.after, claims(nil)))
			})
		})
	}
}

// checkRecovers fails unless the token is accepted within 30 s.
func (w *harness) checkRecovers(t *testing.T, token string) {
	t.Helper()
	start := time.Now()
	for w.ask(token) != alice {
		if time.Since(start) > fetchEvery {
			t.Fatalf("still %s %v later", w.ask(token), time.Since(start))
		}
		advance(time.Second)
	}
}

func kidOf(header object) string {
	kid, _ := header["kid"].(string)
	return kid
}

// sendForgedTokens sends ten forged tokens per second.
func sendForgedTokens(ctx context.Context, w *harness) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			_, _ = w.authenticate(ctx, forged(fmt.Sprint("garbage ", i)))
		case <-ctx.Done():
			return
		}
	}
}

func TestRotatedKeyIsAcceptedAtOnceWhenIdle(t *testing.T) {
	for name, r := range rotations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(public(kidOf(r.before), rsaKey())))
				w.run(t)
				advance(95 * time.Second)
				w.want(t, alice, sign(rsaKey(), r.before, claims(nil)))
				w.idp.publish(public(kidOf(r.after), otherKey()))
				w.want(t, alice, sign(otherKey(), r.after, claims(nil)))
				w.want(t, refused, sign(rsaKey(), r.before, claims(nil)))
			})
		})
	}
}

// The first token with a new key must still have a good signature.
func TestForgedTokenIsRefusedAfterTriggeringFetch(t *testing.T) {
	for name, r := range rotations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(public(kidOf(r.before), rsaKey())))
				w.run(t)
				advance(95 * time.Second)
				w.idp.publish(public(kidOf(r.after), otherKey()))
				w.want(t, refused, sign(attackerKey(), r.after, claims(nil)))
				w.want(t, alice, sign(otherKey(), r.after, claims(nil)))
			})
		})
	}
}

func TestWithdrawnKeyIsRefusedAfterRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...))
		w.run(t)
		remembered, unseen := tokenWith(nil), tokenWith(object{"jti": "2"})
		w.want(t, alice, remembered)
		advance(time.Minute)
		w.want(t, alice, remembered)
		w.idp.publish(public("ec", ecKey())) // without the RSA key
		w.want(t, alice, remembered)
		advance(refreshEvery)
		w.want(t, refused, remembered)
		w.want(t, refused, unseen)
		w.want(t, alice, sign(ecKey(), header(object{"alg": "ES256", "kid": "ec"}), claims(nil)))
	})
}

func TestKeySetStartsWhileProviderIsDown(t *testing.T) {
	for name, page := range map[string]http.HandlerFunc{
		"fails":          status(http.StatusInternalServerError),
		"is not found":   status(http.StatusNotFound),
		"says nonsense":  text("<html>"),
		"does not speak": after(time.Hour, text("")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(published()...))
				up := w.idp.pages[discovery]
				w.idp.serve(discovery, page)
				w.run(t)
				token, unknown := goodToken(), forged("unknown")
				for range 500 { // 0.1 s each, plus the provider's time
					checkUnavailable(t, w, token, unknown, "garbage")
					advance(100 * time.Millisecond)
				}
				w.idp.serve(discovery, up)
				w.checkRecovers(t, goodToken())
				w.want(t, refused, forged("unknown"))
			})
		})
	}
}

// A replica without keys is useless, so it does not wait for a caller.
func TestKeySetFetchesLateKeysWithoutTraffic(t *testing.T) {
	for _, c := range []struct{ after, within time.Duration }{
		{100 * time.Millisecond, 250 * time.Millisecond},
		{time.Second, 250 * time.Millisecond},
		{8 * time.Second, time.Second},
		{time.Minute, 8 * time.Second},
		{time.Hour, 10 * time.Second},
	} {
		runSynctest(t, c.after.String(), func(t *testing.T) {
			w := newHarness(newIDP(published()...))
			up := w.idp.pages[discovery]
			w.idp.serve(discovery, status(http.StatusInternalServerError))
			w.run(t)
			advance(c.after)
			failed := len(w.idp.fetched())
			if w.keys.Missing() == nil {
				t.Error("keys are not missing, though there are none")
			}
			w.idp.serve(discovery, up)
			advance(c.within)
			if err := w.keys.Missing(); err != nil {
				t.Errorf("%v after the provider came: %v", c.within, err)
			}
			w.want(t, alice, goodToken())
			if most := 60 + int(c.after/(9*time.Second)); failed > most {
				t.Errorf("%d fetches in %v, want at most %d", failed, c.after, most)
			}
		})
	}
}

func TestFetchedKeysAreNotMissingDuringOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...))
		w.run(t)
		w.idp.serve(discovery, status(http.StatusInternalServerError))
		advance(time.Hour)
		if err := w.keys.Missing(); err != nil || w.keys.Fault() == nil {
			t.Errorf("missing: %v, fault: %v", err, w.keys.Fault())
		}
	})
}

func checkUnavailable(t *testing.T, w *harness, tokens ...string) {
	t.Helper()
	for _, token := range tokens {
		_, err := w.authenticate(t.Context(), token)
		failure, ok := errors.AsType[*clienttoken.Failure](err)
		if !ok || failure.Code != clienttoken.Unavailable {
			t.Fatalf("%v after the start: %v (a %T), want a Failure Unavailable", time.Since(midnight), err, err)
		}
		if failure.RetryAfter < time.Second || failure.RetryAfter > fetchEvery {
			t.Errorf("%v after the start: RetryAfter is %v", time.Since(midnight), failure.RetryAfter)
		}
		checkNoSecret(t, err, token)
	}
}

func TestCancelledCallerDoesNotEndKeyFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...)) // without Run, the first caller starts the fetch
		w.idp.serve(discovery, after(1500*time.Millisecond, w.idp.pages[discovery]))
		impatient, cancel := context.WithTimeoutCause(t.Context(), time.Hour, nil)
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := w.authenticate(impatient, goodToken()); !errors.Is(err, context.Canceled) {
				t.Errorf("the canceled caller: %v, want context.Canceled", err)
			}
			if since := time.Since(midnight); since != time.Second {
				t.Errorf("the canceled caller waited until %v", since)
			}
		})
		synctest.Wait()
		for range 10 {
			callers.Go(func() { w.want(t, alice, goodToken()) })
		}
		advance(time.Second)
		cancel()
		callers.Wait()
		if since, n := time.Since(midnight), len(w.idp.fetched()); since != 1500*time.Millisecond || n != 1 {
			t.Errorf("the others waited %v for %d fetches, want 1.5s for 1", since, n)
		}
	})
}

// A wait on the provider must not delay good tokens.
func TestOnlyUnknownKeysWaitForProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...))
		w.run(t)
		advance(2 * fetchEvery)
		w.idp.serve(discovery, after(time.Hour, text("")))
		go w.ask(forged("unknown"))
		synctest.Wait()
		start := time.Now()
		w.want(t, alice, goodToken())
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a good token waited %v", waited)
		}
		w.want(t, refused, forged("another"))
		if waited := time.Since(start); waited != 2*time.Second {
			t.Errorf("an unknown key waited %v for a provider that does not answer, want 2s", waited)
		}
	})
}
