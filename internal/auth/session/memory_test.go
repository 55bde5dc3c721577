package session_test

import (
	"crypto/rand"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// fillUp signs in users until the store is full.
func fillUp(t *testing.T, w *world) []session.Key {
	t.Helper()
	for keys := []session.Key{}; ; {
		key := newKey()
		_, err := w.Start(t.Context(), key, w.of(rand.Text(), rand.Text()), session.SignIn{Began: w.Now(), Once: rand.Text()})
		if err != nil {
			wantFailure(t, err)
			return keys
		}
		keys = append(keys, key)
	}
}

// wantFull checks that a sign-in fails and the operator gets a remedy.
func wantFull(t *testing.T, w *world) {
	t.Helper()
	key := newKey()
	ended, err := w.Start(t.Context(), key, w.of("one more"+strings.Repeat("x", 100), ""), session.SignIn{Began: w.Now(), Once: rand.Text()})
	failure := failureOf(t, err, w.run, "one more")
	if ended != (session.Ended{}) || !strings.Contains(failure.Remedy, "SESSION_STORE=redis") || failure.RetryAfter != time.Minute {
		t.Fatalf("ended %v, Remedy %q, RetryAfter %v", ended, failure.Remedy, failure.RetryAfter)
	}
	w.wantGone(t, key)
}

func TestFullMemoryKeepsAllSessions(t *testing.T) {
	w := newMemory(t)
	keys := fillUp(t, w)
	wantFull(t, w)
	w.wantThere(t, keys...)
}

// heap returns the live heap in bytes.
func heap() int {
	runtime.GC()
	runtime.GC() // frees objects with finalizers
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// nested returns claims that need more memory than their JSON.
func nested() map[string]any {
	claims := map[string]any{}
	for i := range 2000 {
		claims[strconv.Itoa(i)] = map[string]any{"": []any{}}
	}
	return claims
}

// Sessions of any shape, single-use ids and logouts stay within 16 MiB.
func TestMemoryIsBoundedInBytes(t *testing.T) {
	for name, fill := range map[string]func(t *testing.T, w *world) error{
		"small sessions": func(t *testing.T, w *world) error {
			_, err := w.Start(t.Context(), newKey(), session.Stored{User: clienttoken.User{ID: "a"}, Subject: rand.Text()}, session.SignIn{Began: w.Now()})
			return err
		},
		"usual sessions": func(t *testing.T, w *world) error {
			s := w.of(rand.Text(), rand.Text())
			s.User.Claims = map[string]any{"iss": "https://id.example.com", "sub": s.Subject, "name": "A User", "email": "user@example.com", "email_verified": true}
			s.IDToken = clienttoken.NewSecret(strings.Repeat("x", 900))
			_, err := w.Start(t.Context(), newKey(), s, session.SignIn{Began: w.Now(), Once: rand.Text()})
			return err
		},
		"large sessions": func(t *testing.T, w *world) error {
			s := w.of(rand.Text(), strings.Repeat("s", 1<<10))
			s.User.Claims, s.IDToken = nested(), clienttoken.NewSecret(strings.Repeat("x", 16<<10))
			_, err := w.Start(t.Context(), newKey(), s, session.SignIn{Began: w.Now(), Once: rand.Text() + strings.Repeat("y", 10<<10)})
			return err
		},
		"sign-ins with ended sessions": func(t *testing.T, w *world) error {
			key := newKey()
			if _, err := w.Start(t.Context(), key, w.of("ann", ""), session.SignIn{Began: w.Now(), Once: rand.Text()}); err != nil {
				return err
			}
			w.end(t, session.Selector{Key: key}, 1)
			return nil
		},
		"logouts and sessions": func(t *testing.T, w *world) error {
			w.end(t, session.Selector{Subject: rand.Text(), SID: rand.Text(), Once: rand.Text()}, 0)
			_, err := w.Start(t.Context(), newKey(), w.of(rand.Text(), ""), session.SignIn{Began: w.Now().Add(time.Hour), Once: rand.Text()})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemory(t)
			before, n := heap(), 0
			for ; fill(t, w) == nil; n++ {
				if n > 1_000_000 {
					t.Fatal("the store never fills up")
				}
			}
			used := heap() - before
			if t.Logf("%d, %.1f MiB", n, float64(used)/(1<<20)); used > 16<<20 || used < 1<<20 {
				t.Errorf("%d bytes", used)
			}
			runtime.KeepAlive(w)
		})
	}
}

// Logouts above the bound are remembered by their latest time.
func TestLogoutsAboveTheBoundStillRefuseSignIns(t *testing.T) {
	w := newMemory(t)
	began := w.Now()
	w.move(time.Second)
	for range 5000 {
		w.end(t, session.Selector{Subject: rand.Text()}, 0)
	}
	w.end(t, session.Selector{Subject: w.run + "ann"}, 0)
	_, err := w.Start(t.Context(), newKey(), w.of("ann", ""), session.SignIn{Began: began})
	wantError(t, err, session.ErrLoggedOut)
	w.start(t, w.of("ann", ""))
}

func TestEndedSessionsFreeMemory(t *testing.T) {
	w := newMemory(t)
	keys := fillUp(t, w)
	w.pass(15 * time.Minute)
	wantFull(t, w) // single-use ids have expired, sessions have not
	w.end(t, session.Selector{Key: keys[7]}, 1)
	w.start(t, w.of("one more", ""))
	w.pass(15 * time.Minute)
	for range 100 {
		w.start(t, w.of(rand.Text(), ""))
	}
	w.wantGone(t, keys...)
}

// An ended session leaves the single-use id of its sign-in.
func TestSingleUseIDsAreBoundedAndExpire(t *testing.T) {
	w := newMemory(t)
	for n := 0; ; n++ {
		key := newKey()
		if _, err := w.Start(t.Context(), key, w.of("ann", ""), session.SignIn{Began: w.Now(), Once: rand.Text()}); err != nil {
			break
		}
		w.end(t, session.Selector{Key: key}, 1)
		if n > 200_000 {
			t.Fatal("the store never fills up")
		}
	}
	wantFull(t, w)
	w.pass(remembered - ms)
	wantFull(t, w)
	w.pass(time.Minute) // Memory sweeps once a minute
	w.start(t, w.of("ann", ""))
}

func TestFullMemoryKeepsTheSignInUsable(t *testing.T) {
	w := newMemory(t)
	keys := fillUp(t, w)
	once, next := rand.Text(), w.of(rand.Text(), rand.Text())
	_, err := w.Start(t.Context(), newKey(), next, session.SignIn{Began: w.Now(), Once: once})
	wantFailure(t, err)
	w.end(t, session.Selector{Key: keys[0]}, 1)
	_, err = w.Start(t.Context(), newKey(), next, session.SignIn{Began: w.Now(), Once: once})
	wantError(t, err, nil)
}

// A replacement needs no additional memory.
func TestFullMemoryAcceptsReplacements(t *testing.T) {
	w := newMemory(t)
	keys := fillUp(t, w)
	w.replace(t, w.of("ann", ""), keys[3], session.Ended{Replaced: 1})
	w.wantGone(t, keys[3])
}

// A full store accepts logouts.
func TestFullMemoryStillEndsSessions(t *testing.T) {
	w := newMemory(t)
	keys := fillUp(t, w)
	w.end(t, session.Selector{Key: keys[1], Once: rand.Text()}, 1)
	w.wantGone(t, keys[1])
}
