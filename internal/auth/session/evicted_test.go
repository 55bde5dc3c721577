package session_test

import (
	"testing"

	"dropgate/internal/auth/session"
)

// A server that is full may evict an index before the sessions that it holds.
// What no logout could find any more must not be good: the provider was told
// that they have ended.
func TestASessionThatNoLogoutWouldFindIsNone(t *testing.T) {
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
				for _, effect := range []session.Touch{session.Peek, session.Extend, session.Peek} {
					_, err := w.Find(t.Context(), key, effect, nil)
					wantError(t, err, session.ErrNone)
				}
				w.end(t, session.Selector{Subject: s.Subject}, 0)
				w.end(t, session.Selector{Key: key}, 0)
				next := w.replace(t, s, key, session.Ended{}) // makes the index anew, without what was lost
				w.wantGone(t, key)
				w.wantThere(t, next, other)
				w.end(t, session.Selector{Subject: s.Subject}, 1)
				w.wantGone(t, next)
			})
		})
	}
}

// The index may come again by another sign-in while the session is still there.
func TestAnIndexThatComesAgainBringsNoSessionBack(t *testing.T) {
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
