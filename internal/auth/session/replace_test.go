package session_test

import (
	"context"
	"crypto/rand"
	"testing"

	"dropgate/internal/auth/session"
)

// replace starts a session that replaces old.
func (w *world) replace(t fataler, s session.Stored, old session.Key, want session.Ended) session.Key {
	t.Helper()
	key := newKey()
	ended, err := w.Start(context.Background(), key, s, session.SignIn{Began: w.Now(), Once: rand.Text(), Replaces: old})
	if ended != want || err != nil {
		t.Fatalf("ended %v, error %v, want %v", ended, err, want)
	}
	return key
}

func signInReplaces(t *testing.T, w *world) {
	for _, subject := range []string{"ann", "bob"} { // the replaced session may be another user's
		old, other := w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "a"))
		key := w.replace(t, w.of(subject, "b"), old, session.Ended{Replaced: 1})
		w.wantGone(t, old)
		w.wantThere(t, key, other)
		w.end(t, session.Selector{SID: w.run + "a"}, 1) // the indexes have forgotten old
		w.end(t, session.Selector{Subject: w.run + subject}, 1)
	}
}

// A repeated callback ends no session.
func refusedReplacesNothing(t *testing.T, w *world) {
	old, once := w.start(t, w.of("ann", "a")), rand.Text()
	w.end(t, session.Selector{Once: once}, 0)
	ended, err := w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once, Replaces: old})
	if wantError(t, err, session.ErrUsed); ended != (session.Ended{}) {
		t.Errorf("ended %v", ended)
	}
	w.wantThere(t, old)
	w.end(t, session.Selector{Subject: w.run + "ann"}, 1)
}

func goneIsNotReplaced(t *testing.T, w *world) {
	ended, expired := w.start(t, w.of("ann", "a")), w.start(t, w.of("ann", "b"))
	w.end(t, session.Selector{Key: ended}, 1)
	w.pass(idle)
	for _, old := range []session.Key{ended, expired, newKey(), {}} {
		w.wantThere(t, w.replace(t, w.of("ann", ""), old, session.Ended{}))
		w.wantGone(t, old)
	}
}

// A replacement does not exceed the bound.
func replacedDoesNotCount(t *testing.T, w *world) {
	keys := w.fill(t, "ann")
	keys[20] = w.replace(t, w.of("ann", "a"), keys[20], session.Ended{Replaced: 1})
	w.wantThere(t, keys...)
	w.replace(t, w.of("bob", "a"), keys[1], session.Ended{Replaced: 1})
	w.displace(t, "ann", 0)
	w.wantThere(t, keys[0])
	w.replace(t, w.of("ann", "a"), newKey(), session.Ended{Displaced: 1})
	w.wantGone(t, keys[0])
}

// Of several tabs that sign in concurrently, one replaces the session.
func replacedOnce(t *testing.T, w *world) {
	const tabs = 20
	old := w.start(t, w.of("ann", "a"))
	results := make(chan session.Ended, tabs)
	for range tabs {
		go func() {
			ended, err := w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: rand.Text(), Replaces: old})
			if err != nil {
				t.Error(err)
			}
			results <- ended
		}()
	}
	sum := session.Ended{}
	for range tabs {
		ended := <-results
		sum.Replaced += ended.Replaced
		sum.Displaced += ended.Displaced
	}
	if sum != (session.Ended{Replaced: 1}) {
		t.Errorf("ended %v", sum)
	}
	w.wantGone(t, old)
	w.end(t, session.Selector{Subject: w.run + "ann"}, tabs)
}
