package session_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/session"
)

// with gives the replicas other keys from now on.
func (w *world) with(t *testing.T, seeds ...string) {
	t.Helper()
	w.keys = ring(t, seeds...)
	w.reopen(w.limits())
}

// During a rotation, replicas of two neighboring steps run side by side. Each
// respects the other's sessions, single-use ids and logouts.
func TestKeyRotationLosesNothing(t *testing.T) {
	steps := [][]string{{"one"}, {"one", "two"}, {"two", "one"}, {"two", "one", "three"}, {"three", "two", "one"}}
	onServers(t, func(t *testing.T, w *world) {
		for i := range steps[1:] {
			for _, order := range [][2][]string{{steps[i], steps[i+1]}, {steps[i+1], steps[i]}} {
				one, other := order[0], order[1]
				w.run = rand.Text()
				w.with(t, one...)
				byKey, bySubject, bySID, replaced := w.start(t, w.of("ann", "")), w.start(t, w.of("bob", "")), w.start(t, w.of("carl", "a")), w.start(t, w.of("dora", ""))
				oldest := w.fill(t, "emil")[0]
				signIn, notice := rand.Text(), rand.Text()
				_, err := w.Start(t.Context(), newKey(), w.of("fay", ""), session.SignIn{Began: w.Now(), Once: signIn})
				wantError(t, err, nil)
				began := w.Now()
				w.pass(time.Second)
				w.end(t, session.Selector{Subject: w.run + "nobody", Once: notice}, 0)

				w.with(t, other...)
				w.wantThere(t, byKey, bySubject, bySID, replaced, oldest)
				if got := w.end(t, session.Selector{Key: byKey}, 1)[0]; got.IDToken.Reveal() != "token of ann" {
					t.Errorf("ended %v", got.User.ID)
				}
				if got := w.end(t, session.Selector{Subject: w.run + "bob"}, 1)[0]; got.User.ID != "bob" {
					t.Errorf("ended a session of %q", got.User.ID)
				}
				w.end(t, session.Selector{Subject: w.run + "carl", SID: w.run + "a"}, 1)
				w.replace(t, w.of("dora", ""), replaced, session.Ended{Replaced: 1})
				w.displace(t, "emil", 1)
				w.wantGone(t, byKey, bySubject, bySID, replaced, oldest)
				_, err = w.Start(t.Context(), newKey(), w.of("fay", ""), session.SignIn{Began: w.Now(), Once: signIn})
				wantError(t, err, session.ErrUsed)
				_, err = w.End(t.Context(), session.Selector{Subject: w.run + "emil", Once: notice})
				wantError(t, err, session.ErrUsed)
				_, err = w.Start(t.Context(), newKey(), w.of("nobody", ""), session.SignIn{Began: began, Once: rand.Text()})
				wantError(t, err, session.ErrLoggedOut)
			}
		}
	})
}

func TestRemovedKeyDecryptsNothing(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		key := w.start(t, w.of("ann", "a"))
		w.with(t, "two")
		w.wantGone(t, key)
		w.end(t, session.Selector{Subject: w.run + "ann"}, 0)
		w.with(t, "two", "one")
		w.wantThere(t, key)
	})
}

// Deployments may share any part of their scope, but not all.
func TestDeploymentsShareNothingInOneRedis(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		own := w.scope
		key, once := newKey(), rand.Text()
		_, err := w.Start(t.Context(), key, w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once})
		wantError(t, err, nil)
		for name, scope := range map[string]session.Scope{
			"another issuer":     {Issuer: own.Issuer + "/", ClientID: own.ClientID, UserClaim: own.UserClaim, Origin: own.Origin},
			"another client":     {Issuer: own.Issuer, ClientID: own.ClientID + "2", UserClaim: own.UserClaim, Origin: own.Origin},
			"another user claim": {Issuer: own.Issuer, ClientID: own.ClientID, UserClaim: "email", Origin: own.Origin},
			"another origin":     {Issuer: own.Issuer, ClientID: own.ClientID, UserClaim: own.UserClaim, Origin: own.Origin + ":8443"},
			"shifted":            {Issuer: own.Issuer + own.ClientID, UserClaim: own.UserClaim, Origin: own.Origin},
		} {
			w.scope = scope
			w.reopen(w.limits())
			w.wantGone(t, key)
			w.end(t, session.Selector{Key: key}, 0)
			w.end(t, session.Selector{Subject: w.run + "ann"}, 0)
			w.end(t, session.Selector{SID: w.run + "a"}, 0)
			if _, err := w.Start(t.Context(), key, w.of("bob", "a"), session.SignIn{Began: w.Now(), Once: once}); err != nil {
				t.Errorf("%s: %v", name, err) // the key and the sign-in are unused in this scope
			}
		}
		w.scope = own
		w.reopen(w.limits())
		found, err := w.Find(t.Context(), key, session.Peek, nil)
		if wantError(t, err, nil); found.User.ID != "ann" {
			t.Errorf("a session of %q", found.User.ID)
		}
	})
}

// The attacker can write to Redis and has a session.
func TestWriteAccessToRedisImpersonatesNobody(t *testing.T) {
	ctx := t.Context()
	for name, attack := range map[string]func(w *world, mine, theirs session.Key){
		"the other's record under the own name": func(w *world, mine, theirs session.Key) {
			w.client.Copy(ctx, w.sessionName(theirs), w.sessionName(mine), w.client.Options().DB, true)
			for _, index := range []string{w.nameOf("subject", w.run+"ann"), w.nameOf("sid", w.run+"a")} {
				w.client.ZAdd(ctx, index, redis.Z{Score: 1e15, Member: w.sessionName(mine)})
			}
		},
		"the other's data in the own record": func(w *world, mine, theirs session.Key) {
			w.client.HSet(ctx, w.sessionName(mine), "data", w.client.HGet(ctx, w.sessionName(theirs), "data").Val())
		},
		"the other's indexes in the own record": func(w *world, mine, _ session.Key) {
			index := w.nameOf("subject", w.run+"ann")
			w.client.ZAdd(ctx, index, redis.Z{Score: 1e15, Member: w.sessionName(mine)})
			w.client.HSet(ctx, w.sessionName(mine), "subject", index)
		},
		"an unknown index": func(w *world, mine, _ session.Key) {
			w.client.ZAdd(ctx, w.nameOf("subject", "x"), redis.Z{Score: 1e15, Member: w.sessionName(mine)})
			w.client.HSet(ctx, w.sessionName(mine), "subject", w.nameOf("subject", "x"))
		},
		"no sid": func(w *world, mine, _ session.Key) {
			w.client.HSet(ctx, w.sessionName(mine), "sid", "")
		},
		"a later deadline": func(w *world, mine, _ session.Key) {
			w.client.HSet(ctx, w.sessionName(mine), "deadline", w.Now().Add(1000*time.Hour).UnixMilli(), "idle", w.Now().Add(1000*time.Hour).UnixMilli())
		},
		"a flipped bit": func(w *world, mine, _ session.Key) {
			data := []byte(w.client.HGet(ctx, w.sessionName(mine), "data").Val())
			data[len(data)/2] ^= 1
			w.client.HSet(ctx, w.sessionName(mine), "data", data)
		},
		"a plain record": func(w *world, mine, _ session.Key) {
			w.client.HSet(ctx, w.sessionName(mine), "data", `{"id":"ann","claims":{},"subject":"ann","epoch":"1"}`)
		},
		"another epoch": func(w *world, _, _ session.Key) {
			w.client.Set(ctx, w.keysIn.redis.EpochName(), "7-SOMEBODY-0-0", 0)
		},
		"no epoch": func(w *world, _, _ session.Key) { w.client.Del(ctx, w.keysIn.redis.EpochName()) },
	} {
		t.Run(name, func(t *testing.T) {
			onServers(t, func(t *testing.T, w *world) {
				theirs := w.start(t, w.of("ann", "a"))
				mine := w.start(t, w.of("mallory", "m"))
				w.keysIn.note(w.nameOf("subject", "x"))
				attack(w, mine, theirs)
				w.reopen(w.limits()) // a replica that knows no epoch
				for _, touch := range []session.Touch{session.Peek, session.Extend, session.Peek} {
					found, err := w.Find(ctx, mine, touch, nil)
					if wantError(t, err, session.ErrNone); found.User.ID != "" {
						t.Fatalf("a session of %q", found.User.ID)
					}
				}
			})
		})
	}
}

// The deadline is authenticated, the idle time is not.
func TestWriteAccessToRedisCannotMoveDeadlines(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		key := w.start(t, w.of("ann", "a"))
		later := w.Now().Add(1000 * time.Hour)
		wantError(t, w.client.HSet(t.Context(), w.sessionName(key), "idle", later.UnixMilli()).Err(), nil)
		wantError(t, w.client.Persist(t.Context(), w.sessionName(key)).Err(), nil)
		w.wantExpires(t, key, session.Peek, lifetime)
		w.move(lifetime)
		w.wantGone(t, key)
	})
}
