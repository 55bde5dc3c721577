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

// crowd signs in users until there is no room.
func crowd(t *testing.T, w *world) []session.Key {
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

// wantFull checks that there is no room, and that the operator is told.
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

func TestFullMemoryEndsNobodysSession(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	wantFull(t, w)
	w.wantThere(t, keys...)
}

// heap is the live heap in bytes.
func heap() int {
	runtime.GC()
	runtime.GC() // what finalizers have kept
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// nested are claims that take more memory than their text.
func nested() map[string]any {
	claims := map[string]any{}
	for i := range 2000 {
		claims[strconv.Itoa(i)] = map[string]any{"": []any{}}
	}
	return claims
}

// However sessions look, and whatever else there is to remember: 16 MiB.
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
		"sign-ins of sessions that ended": func(t *testing.T, w *world) error {
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
					t.Fatal("it is never full")
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

// A logout counts also when more of them came than are remembered one by one.
func TestALogoutInACrowdStillPreventsSessions(t *testing.T) {
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

func TestSessionsThatEndMakeRoomInMemory(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	w.pass(15 * time.Minute)
	wantFull(t, w) // what was used is forgotten, but the sessions are there
	w.end(t, session.Selector{Key: keys[7]}, 1)
	w.start(t, w.of("one more", ""))
	w.pass(15 * time.Minute)
	for range 100 {
		w.start(t, w.of(rand.Text(), ""))
	}
	w.wantGone(t, keys...)
}

// Sessions that are ended at once leave something too: that they may not be
// started again.
func TestWhatWasUsedIsBoundedInMemoryAndForgotten(t *testing.T) {
	w := newMemory(t)
	for n := 0; ; n++ {
		key := newKey()
		if _, err := w.Start(t.Context(), key, w.of("ann", ""), session.SignIn{Began: w.Now(), Once: rand.Text()}); err != nil {
			break
		}
		w.end(t, session.Selector{Key: key}, 1)
		if n > 200_000 {
			t.Fatal("it is never full")
		}
	}
	wantFull(t, w)
	w.pass(remembered - ms)
	wantFull(t, w)
	w.pass(time.Minute) // is tidied up once a minute
	w.start(t, w.of("ann", ""))
}

func TestWhoIsRefusedByFullMemoryMayTryAgainWithTheSameSignIn(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	once, next := rand.Text(), w.of(rand.Text(), rand.Text())
	_, err := w.Start(t.Context(), newKey(), next, session.SignIn{Began: w.Now(), Once: once})
	wantFailure(t, err)
	w.end(t, session.Selector{Key: keys[0]}, 1)
	_, err = w.Start(t.Context(), newKey(), next, session.SignIn{Began: w.Now(), Once: once})
	wantError(t, err, nil)
}

// Who signs in anew in the same browser needs no more room.
func TestFullMemoryHasRoomForASessionThatReplacesAnother(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	w.replace(t, w.of("ann", ""), keys[3], session.Ended{Replaced: 1})
	w.wantGone(t, keys[3])
}

// A logout is never refused for want of room.
func TestFullMemoryStillEndsSessions(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	w.end(t, session.Selector{Key: keys[1], Once: rand.Text()}, 1)
	w.wantGone(t, keys[1])
}
