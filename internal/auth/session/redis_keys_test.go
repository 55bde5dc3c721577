package session_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// wantKept checks when a key expires. On a real server the time is approximate.
func (w *world) wantKept(t *testing.T, name string, want time.Duration) {
	t.Helper()
	slack := time.Duration(0)
	if w.mini == nil {
		slack = time.Minute
	}
	left, err := w.client.PTTL(t.Context(), name).Result()
	if err != nil || left > want || left < want-slack {
		t.Fatalf("%.20s expires in %v (error %v), want %v", name, left, err, want)
	}
}

func (w *world) wantForgotten(t *testing.T, name string) {
	t.Helper()
	if n, err := w.client.Exists(t.Context(), name).Result(); n != 0 || err != nil {
		t.Fatalf("%.20s exists, error %v", name, err)
	}
}

func TestRedisEntriesExpireInTime(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		subject, sid := w.nameOf("subject", w.run+"ann"), w.nameOf("sid", w.run+"a")
		key := newKey()
		once, notice := rand.Text(), rand.Text()
		_, err := w.Start(t.Context(), key, w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once})
		wantError(t, err, nil)
		w.wantKept(t, w.sessionName(key), idle)
		w.wantKept(t, subject, lifetime)
		w.wantKept(t, sid, lifetime)
		w.wantKept(t, w.nameOf("used", once), remembered)
		w.end(t, session.Selector{Once: notice}, 0)
		w.wantKept(t, w.nameOf("used", notice), remembered)

		w.pass(10 * time.Minute)
		w.wantExpires(t, key, session.Peek, idle-10*time.Minute)
		if w.mini != nil {
			w.wantKept(t, w.sessionName(key), idle-10*time.Minute)
		}
		w.wantExpires(t, key, session.Extend, idle)
		w.wantKept(t, w.sessionName(key), idle)
		for _, at := range often(lifetime - 20*time.Minute) {
			if at > 10*time.Minute {
				w.pass(w.started().Add(at).Sub(w.Now()))
				w.wantExpires(t, key, session.Extend, min(idle, lifetime-at))
			}
		}
		w.wantKept(t, w.sessionName(key), 20*time.Minute) // the deadline bounds it
	})
}

// started returns the initial time of every clock.
func (w *world) started() time.Time { return newClock().now }

func TestEndedSessionsLeaveNothingInRedis(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		for _, which := range []session.Selector{{}, {Subject: w.run + "ann"}, {SID: w.run + "a"}, {Subject: w.run + "ann", SID: w.run + "a"}} {
			key := w.start(t, w.of("ann", "a"))
			if which == (session.Selector{}) {
				which.Key = key
			}
			w.end(t, which, 1)
			w.wantForgotten(t, w.sessionName(key))
			w.wantForgotten(t, w.nameOf("subject", w.run+"ann"))
			w.wantForgotten(t, w.nameOf("sid", w.run+"a"))
		}
		w.wantForgotten(t, "") // an empty sid must not create this key
	})
}

// The server expires sessions, and the next sign-in cleans up the indexes.
func TestExpiredSessionsLeaveNothingInRedis(t *testing.T) {
	w := newMiniredis(t)
	w.start(t, w.of("ann", "a"))
	w.pass(idle)
	w.start(t, w.of("ann", "b"))
	if n := w.client.ZCard(t.Context(), w.nameOf("subject", w.run+"ann")).Val(); n != 1 {
		t.Errorf("the subject's index has %d sessions", n)
	}
	w.start(t, w.of("bob", "a"))
	w.end(t, session.Selector{SID: w.run + "none"}, 0)
	w.pass(lifetime)
	if keys := w.mini.Keys(); len(keys) != 1 || keys[0] != w.keysIn.redis.EpochName() {
		t.Errorf("left in Redis: %q", keys)
	}

	// The same when only the callers' clocks have passed the expiry.
	key := w.start(t, w.of("ann", "a"))
	w.move(idle)
	w.end(t, session.Selector{SID: w.run + "a"}, 0)
	w.wantForgotten(t, w.sessionName(key))
	w.wantForgotten(t, w.nameOf("sid", w.run+"a"))
	w.wantForgotten(t, w.nameOf("subject", w.run+"ann"))
}

// A shorter SESSION_LIFETIME applies to new sessions. A logout still finds old ones.
func TestIndexLastsAsLongAsItsSessions(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		old := w.start(t, w.of("ann", "a"))
		w.reopen(session.Limits{Idle: idle, Lifetime: 10 * time.Minute, Now: w.Now})
		w.start(t, w.of("ann", "a"))
		w.wantKept(t, w.nameOf("subject", w.run+"ann"), lifetime)
		w.wantKept(t, w.nameOf("sid", w.run+"a"), lifetime)
		w.pass(20 * time.Minute)
		w.wantThere(t, old)
		w.end(t, session.Selector{Subject: w.run + "ann"}, 1)
		w.wantGone(t, old)
	})
}

// A dump of Redis contains no name, claim, ID token or guessable hash.
func TestRedisHoldsNoPlainUserData(t *testing.T) {
	w := newMiniredis(t)
	id := session.NewID().Reveal()
	key, _ := session.KeyOf(id)
	s := w.of("ann", "browser")
	s.IDToken = clienttoken.NewSecret("hunter2")
	once, notice := rand.Text(), rand.Text()
	_, err := w.Start(t.Context(), key, s, session.SignIn{Began: w.Now(), Once: once})
	wantError(t, err, nil)
	w.wantExpires(t, key, session.Extend, idle)
	w.end(t, session.Selector{SID: w.run + "none", Once: notice}, 0)
	dump := w.mini.Dump()
	if !strings.Contains(dump, "dropgate:session:") || len(w.mini.Keys()) != 8 {
		t.Fatalf("the dump is incomplete:\n%s", dump)
	}
	hash := sha256.Sum256([]byte(id))
	wantNone(t, dump, id, once, notice, s.Subject, "ann", s.SID, "browser", "hunter2", string(hash[:]), hex.EncodeToString(hash[:]), base64.RawURLEncoding.EncodeToString(hash[:]))
	for _, name := range w.mini.Keys() {
		if name == w.keysIn.redis.EpochName() {
			continue // never expires
		}
		if ttl := w.mini.TTL(name); ttl <= 0 || ttl > lifetime {
			t.Errorf("%q expires in %v", name, ttl)
		}
		if len(name) > 100 || !w.keysIn.names[name] {
			t.Errorf("%q is an unexpected key", name)
		}
	}
}

// garbage writes a hash with fields in place of an indexed session, or a string if
// fields is nil.
func (w *world) garbage(t *testing.T, fields []any) session.Key {
	t.Helper()
	key := newKey()
	w.keysIn.note(w.sessionName(key))
	if fields == nil {
		wantError(t, w.client.Set(t.Context(), w.sessionName(key), "hunter2", time.Hour).Err(), nil)
	} else {
		index := w.nameOf("subject", w.run+"garbage")
		w.keysIn.note(index)
		wantError(t, w.client.ZAdd(t.Context(), index, redis.Z{Member: w.sessionName(key)}).Err(), nil)
		wantError(t, w.client.HSet(t.Context(), w.sessionName(key), append(fields, "subject", index, "sid", "")...).Err(), nil)
	}
	return key
}

func wantNone(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %q", secret, text)
		}
	}
}

// Garbage in an index is an outage instead, because a logout could miss sessions.
func TestGarbageInRedisIsNoSession(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		ends := fmt.Sprint(w.Now().Add(time.Hour).UnixMilli())
		for name, fields := range map[string][]any{
			"a string":             nil,
			"no data":              {"idle", ends, "deadline", ends},
			"malformed data":       {"idle", ends, "deadline", ends, "data", "hunter2"},
			"plain data":           {"idle", ends, "deadline", ends, "data", `{"id":"hunter2","subject":"hunter2","epoch":"1"}`},
			"no times":             {"idle", "hunter2", "deadline", "hunter2", "data", "{}"},
			"times that are words": {"idle", "nan", "deadline", "inf", "data", "{}"},
			"no deadline":          {"idle", ends, "data", `{"id":"hunter2"}`},
			"a false limit":        {"idle", ends, "deadline", ends, "data", "hunter2", "limit", "dropgate:session:"},
		} {
			key := w.garbage(t, fields)
			for _, touch := range []session.Touch{session.Peek, session.Extend} {
				if s, err := w.Find(t.Context(), key, touch, nil); !errors.Is(err, session.ErrNone) || s.User.ID != "" {
					t.Errorf("%s: %q, %v", name, s.User.ID, err)
				}
			}
			w.end(t, session.Selector{Key: key}, 0)
			w.wantForgotten(t, w.sessionName(key))
		}
		for _, kind := range []string{"subject", "sid"} {
			name := w.nameOf(kind, w.run+kind)
			w.keysIn.note(name)
			wantError(t, w.client.Set(t.Context(), name, "hunter2", time.Hour).Err(), nil)
			_, err := w.Start(t.Context(), newKey(), w.of("subject", "sid"), session.SignIn{Began: w.Now(), Once: rand.Text()})
			wantFailure(t, err, "hunter2")
		}
		_, err := w.End(t.Context(), session.Selector{Subject: w.run + "subject"})
		wantFailure(t, err, "hunter2")
		_, err = w.End(t.Context(), session.Selector{SID: w.run + "sid"})
		wantFailure(t, err, "hunter2")
	})
}
