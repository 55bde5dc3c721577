package session_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth/session"
)

const maxSessions = 20_000

// crowd signs in 20 000 users.
func crowd(t *testing.T, w *world) []session.Key {
	t.Helper()
	keys := make([]session.Key, maxSessions)
	for i := range keys {
		keys[i] = w.start(t, w.of(rand.Text(), rand.Text()))
	}
	return keys
}

// wantFull checks that there is no room, and that the operator is told.
func wantFull(t *testing.T, w *world) {
	t.Helper()
	key := newKey()
	ended, err := w.Start(t.Context(), key, w.of("one more", ""), session.SignIn{Once: rand.Text()})
	failure := failureOf(t, err, w.run, "one more")
	if ended != (session.Ended{}) || !strings.Contains(failure.Mend, "SESSION_STORE=redis") || failure.RetryAfter != time.Minute {
		t.Fatalf("ended %v, Mend %q, RetryAfter %v", ended, failure.Mend, failure.RetryAfter)
	}
	w.wantGone(t, key)
}

func TestMemoryIsBounded(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	wantFull(t, w)
	w.wantThere(t, keys...)
}

// The sign-ins of an hour must not fill it: they are forgotten after 15 minutes.
func TestSessionsThatEndMakeRoomInMemory(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	w.pass(15 * time.Minute)
	wantFull(t, w) // what was used is forgotten, but the sessions are there
	w.end(t, session.Which{Key: keys[7]}, 1)
	w.start(t, w.of("one more", ""))
	wantFull(t, w)
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
	for range maxSessions {
		key := w.start(t, w.of("ann", ""))
		w.end(t, session.Which{Key: key}, 1)
	}
	wantFull(t, w)
	w.pass(15*time.Minute - ms)
	wantFull(t, w)
	w.pass(time.Minute) // is tidied up once a minute
	w.start(t, w.of("ann", ""))
}

func TestWhoIsRefusedByFullMemoryMayTryAgainWithTheSameSignIn(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	w.pass(15 * time.Minute)
	once := rand.Text()
	_, err := w.Start(t.Context(), newKey(), w.of("ann", ""), session.SignIn{Once: once})
	wantFailure(t, err)
	w.end(t, session.Which{Key: keys[0]}, 1)
	_, err = w.Start(t.Context(), newKey(), w.of("ann", ""), session.SignIn{Once: once})
	wantError(t, err, nil)
}

// Who signs in anew in the same browser needs no more room.
func TestFullMemoryHasRoomForASessionThatReplacesAnother(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	w.pass(15 * time.Minute)
	w.replace(t, w.of("ann", ""), keys[3], session.Ended{Replaced: 1})
	wantFull(t, w)
	w.wantGone(t, keys[3])
}

// A logout is never refused for want of room.
func TestFullMemoryStillEndsSessions(t *testing.T) {
	w := newMemory(t)
	keys := crowd(t, w)
	w.end(t, session.Which{Key: keys[1], Once: rand.Text()}, 1)
	w.wantGone(t, keys[1])
}
