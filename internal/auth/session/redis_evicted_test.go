package session_test

import (
	"testing"

	"dropgate/internal/auth/session"
)

// A full server may evict an index. A logout by subject or SID then misses its
// sessions, so they must not work any more.
func TestSessionWithoutItsIndexIsGone(t *testing.T) {
	for name, of := range map[string]func(w *world) (index string, s session.Stored){
		"subject, with a sid":    func(w *world) (string, session.Stored) { return w.nameOf("subject", w.run+"ann"), w.of("ann", "a") },
		"subject, without a sid": func(w *world) (string, session.Stored) { return w.nameOf("subject", w.run+"ann"), w.of("ann", "") },
		"sid":                    func(w *world) (string, session.Stored) { return w.nameOf("sid", w.run+"a"), w.of("ann", "a") },
	} {
		t.Run(name, func(t *testing.T) {
			onServers(t, func(t *testing.T, w *world) {
				index, s := of(w)
				key, other := w.start(t, s), w.start(t, w.of("bob", "b"))
				wantError(t, w.client.Del(t.Context(), index).Err(), nil)
				for _, touch := range []session.Touch{session.Peek, session.Extend, session.Peek} {
					_, err := w.Find(t.Context(), key, touch, nil)
					wantError(t, err, session.ErrNone)
				}
				w.end(t, session.Selector{Subject: s.Subject}, 0)
				w.end(t, session.Selector{Key: key}, 0)
				next := w.replace(t, s, key, session.Ended{}) // creates a new index without key
				w.wantGone(t, key)
				w.wantThere(t, next, other)
				w.end(t, session.Selector{Subject: s.Subject}, 1)
				w.wantGone(t, next)
			})
		})
	}
}

// Another sign-in recreates the index while the session still exists.
func TestRecreatedIndexRevivesNoSession(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		key := w.start(t, w.of("ann", "a"))
		wantError(t, w.client.Del(t.Context(), w.nameOf("subject", w.run+"ann"), w.nameOf("sid", w.run+"a")).Err(), nil)
		next := w.start(t, w.of("ann", "a"))
		w.wantGone(t, key)
		w.wantThere(t, next)
		w.end(t, session.Selector{SID: w.run + "a"}, 1)
		w.wantGone(t, key, next)
	})
}
