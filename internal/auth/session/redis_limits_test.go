package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/auth/session"
	"dropgate/internal/ratelimit"
)

// trips is a client hook that counts round trips.
type trips struct{ n atomic.Int64 }

func (*trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, commands)
	}
}

// limited returns a store and a limiter on one server, and counts the round trips
// of both. The limits per hour are 9 for a user and 20 for an address.
func (w *world) limited(t *testing.T) (*session.Redis, *ratelimit.Limiter, *trips) { //nolint:revive // three belong together
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: w.client.Options().Addr, DB: w.client.Options().DB})
	t.Cleanup(func() { _ = client.Close() })
	counted := &trips{}
	client.AddHook(counted)
	nine := ratelimit.Limit{N: 9, Window: time.Hour}
	l := ratelimit.New(ratelimit.Config{
		User: nine, IP: ratelimit.Limit{N: 20, Window: time.Hour}, Redis: client, Secret: []byte("a key of the service"),
		Now: time.Now, Registerer: prometheus.NewRegistry(),
	})
	return session.NewRedis(session.RedisConfig{
		Client: client, Limits: w.limits(), Keys: w.keys, Scope: w.scope, UserLimit: l.UserKey,
		Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	}), l, counted
}

// limitedUser returns a session with a user id of this test only.
func (w *world) limitedUser() session.Stored {
	s := w.of("ann", "")
	s.User.ID = w.run + "ann"
	return s
}

// startIn starts a session in s and records its keys.
func (w *world) startIn(t *testing.T, s *session.Redis, of session.Stored) session.Key {
	t.Helper()
	key, once := newKey(), rand.Text()
	w.keysIn.note(slices.Concat([]string{s.SessionName(key)}, s.NamesOf("subject", of.Subject), s.NamesOf("used", once))...)
	_, err := s.Start(t.Context(), key, of, session.SignIn{Began: w.Now(), Once: once})
	wantError(t, err, nil)
	return key
}

// newAddress is of a /64 that no other test has.
func newAddress() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("2001:%x:%x:%x::1", b[:2], b[2:4], b[4:])
}

// finds is a request from addr: it pays the charge and finds the session.
func finds(t *testing.T, s session.Store, l *ratelimit.Limiter, addr string, key session.Key) (session.Stored, error) {
	t.Helper()
	charge := l.Charge(addr)
	found, err := s.Find(t.Context(), key, session.Extend, &charge)
	if payErr := charge.Pay(t.Context(), found.User.ID); payErr != nil {
		return found, payErr
	}
	return found, err
}

func wantExceeded(t *testing.T, err error, scope ratelimit.Scope) {
	t.Helper()
	if exceeded, ok := errors.AsType[*ratelimit.ExceededError](err); !ok || exceeded.Scope != scope {
		t.Fatalf("%v, want the limit of the %s to be exceeded", err, scope)
	}
}

func TestFindAndLimitsTakeOneRoundTrip(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		s, l, counted := w.limited(t)
		addr := newAddress()
		key := w.startIn(t, s, w.limitedUser())
		if _, err := finds(t, s, l, addr, key); err != nil { // may load the script
			t.Fatal(err)
		}
		counted.n.Store(0)
		for range 8 {
			if _, err := finds(t, s, l, addr, key); err != nil {
				t.Fatal(err)
			}
		}
		if n := counted.n.Load(); n != 8 {
			t.Errorf("8 requests made %d round trips", n)
		}
		found, err := finds(t, s, l, addr, key)
		wantExceeded(t, err, ratelimit.User)
		if found.Subject != w.run+"ann" {
			t.Errorf("the refused session is %q's", found.Subject)
		}
	})
}

func TestLimitedRequestDoesNotExtendTheSession(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		s, l, _ := w.limited(t)
		key, addr := w.startIn(t, s, w.limitedUser()), newAddress()
		for range 9 {
			if _, err := finds(t, s, l, addr, key); err != nil {
				t.Fatal(err)
			}
		}
		w.move(idle / 2)
		_, err := finds(t, s, l, addr, key)
		wantExceeded(t, err, ratelimit.User)
		w.move(idle/2 + time.Second)
		w.wantGone(t, key)
	})
}

// An address above its limit is refused even with a good id.
func TestGuessingSessionIDsIsLimited(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		s, l, _ := w.limited(t)
		good, addr := w.startIn(t, s, w.limitedUser()), newAddress()
		for range 20 {
			if _, err := finds(t, s, l, addr, session.Key{1}); !errors.Is(err, session.ErrNone) {
				t.Fatalf("%v, want %v", err, session.ErrNone)
			}
		}
		found, err := finds(t, s, l, addr, good)
		wantExceeded(t, err, ratelimit.IP)
		if found.Subject != "" {
			t.Errorf("a refused address gets the session of %q", found.Subject)
		}
		if _, err := finds(t, s, l, newAddress(), good); err != nil {
			t.Errorf("from another address: %v", err)
		}
	})
}

// The limit belongs to the user id, across modes, replicas, sessions and subjects.
func TestUserLimitCountsAllSessionsAndModes(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		s, l, _ := w.limited(t)
		_, elsewhere, _ := w.limited(t)
		ann := w.limitedUser()
		ann.Subject = w.run + "ann at the provider"
		one, other := w.startIn(t, s, ann), w.startIn(t, s, ann)
		for range 7 {
			charge := elsewhere.Charge(newAddress())
			if err := charge.Pay(t.Context(), ann.User.ID); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range []session.Key{one, other} {
			if _, err := finds(t, s, l, newAddress(), key); err != nil {
				t.Fatal(err)
			}
		}
		_, err := finds(t, s, l, newAddress(), one)
		wantExceeded(t, err, ratelimit.User)
		charge := elsewhere.Charge(newAddress())
		wantExceeded(t, charge.Pay(t.Context(), ann.User.ID), ratelimit.User)
	})
}

// The name of the limit in the record may be forged, or outdated after a rotation of
// keys. The right user pays anyway.
func TestForgedRecordStillChargesTheRightUser(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		s, l, _ := w.limited(t)
		ann := w.limitedUser()
		key := w.startIn(t, s, ann)
		wantError(t, w.client.HSet(t.Context(), s.SessionName(key), "limit", "dropgate:limit:user:"+w.run).Err(), nil)
		w.keysIn.note("dropgate:limit:user:" + w.run)
		for range 9 {
			if _, err := finds(t, s, l, newAddress(), key); err != nil {
				t.Fatal(err)
			}
		}
		charge := l.Charge(newAddress())
		wantExceeded(t, charge.Pay(t.Context(), ann.User.ID), ratelimit.User)
	})
}
