package session_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/session"
)

func TestHandleOfAnotherScopeEndsNothing(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		key := w.start(t, w.of("ann", ""))
		handle := w.list(t, session.Selector{User: "ann"}, 1)[0].Handle
		own := w.scope
		w.scope.Origin += ":8443"
		w.reopen(w.limits())
		w.list(t, session.Selector{User: "ann"}, 0)
		w.list(t, session.Selector{Handle: handle}, 0)
		w.end(t, session.Selector{Handle: handle}, 0)
		w.scope = own
		w.reopen(w.limits())
		w.wantThere(t, key)
		w.end(t, session.Selector{Handle: handle}, 1)
		w.wantGone(t, key)
	})
}

// Handles do not depend on the service's keys.
func TestHandleOutlivesAKeyRotation(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		before := w.start(t, w.of("ann", ""))
		handle := w.list(t, session.Selector{User: "ann"}, 1)[0].Handle
		w.with(t, "two", "one")
		w.pass(ms)
		after := w.start(t, w.of("ann", ""))
		if all := w.list(t, session.Selector{User: "ann"}, 2); all[1].Handle != handle {
			t.Errorf("the handle is %s, was %s", all[1].Handle, handle)
		}
		w.end(t, session.Selector{User: "ann"}, 2)
		w.wantGone(t, before, after)
	})
}

// A writer of Redis could otherwise hide a session from operators.
func TestSessionOutsideItsUserIndexIsNone(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		one, two, three := w.start(t, w.of("ann", "")), w.start(t, w.of("ann", "")), w.start(t, w.of("ann", ""))
		wantError(t, w.client.HDel(t.Context(), w.sessionName(one), "user").Err(), nil)
		wantError(t, w.client.HSet(t.Context(), w.sessionName(two), "user", w.nameOf("user", "bob")).Err(), nil)
		wantError(t, w.client.ZRem(t.Context(), w.nameOf("user", "ann"), w.sessionName(three)).Err(), nil)
		w.wantGone(t, one, two, three)
	})
}

// A user's list has no session that a writer of Redis put into the user's index.
func TestForeignSessionInUserIndexIsNotListed(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		w.start(t, w.of("ann", ""))
		bobs := w.sessionName(w.start(t, w.of("bob", "")))
		score := w.client.ZScore(t.Context(), w.nameOf("user", "bob"), bobs).Val()
		wantError(t, w.client.ZAdd(t.Context(), w.nameOf("user", "ann"), redis.Z{Score: score, Member: bobs}).Err(), nil)
		if all := w.list(t, session.Selector{User: "ann"}, 1); all[0].UserID != "ann" {
			t.Errorf("listed a session of %q", all[0].UserID)
		}
	})
}

// A change of SESSION_IDLE_TIMEOUT shows no use before the start or in the future.
func TestUseStaysWithinSessionAfterChangedLimits(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		began := w.Now()
		w.start(t, w.of("ann", ""))
		w.pass(time.Minute)
		for _, changed := range []time.Duration{idle / 2, idle * 2} {
			w.reopen(session.Limits{Idle: changed, Lifetime: lifetime, Now: w.Now})
			if s := w.list(t, session.Selector{User: "ann"}, 1)[0]; s.Used.Before(began) || s.Used.After(w.Now()) {
				t.Errorf("with %s the last use is %s after the start", changed, s.Used.Sub(began))
			}
		}
	})
}

func TestSessionOfOldEpochIsNotListed(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		w.start(t, w.of("ann", ""))
		w.end(t, session.Selector{Key: w.start(t, w.of("bob", ""))}, 1)
		wantError(t, w.client.Del(t.Context(), w.keysIn.redis.EpochName()).Err(), nil)
		w.list(t, session.Selector{User: "ann"}, 0)
		w.end(t, session.Selector{User: "ann"}, 0)
	})
}
