package session_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

const (
	idle     = 30 * time.Minute
	lifetime = 8 * time.Hour
	ms       = time.Millisecond
	// remembered is how long what was used, and logouts, are remembered.
	remembered = 31 * time.Minute
)

// fataler is what *testing.T, *testing.B and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// clock is the time of a world. It stands still until somebody moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) limits() session.Limits {
	return session.Limits{Idle: idle, Lifetime: lifetime, Now: c.Now}
}

// world is an empty store, or a part of one that is empty and nobody else's.
type world struct {
	session.Store
	*clock

	run string                // begins all names, so that no other test has them
	age func(d time.Duration) // lets the server's own time pass
	// grain is how near to the end of something a test may go. A real server's
	// time passes by itself, while a test is running.
	grain  time.Duration
	reopen func(session.Limits)
	client *redis.Client        // the test's own way into the server, if there is one
	mini   *miniredis.Miniredis // the server, if it is that one
	prints *prints              // what is in the server, if there is one
	scope  session.Scope
	keys   keyring.Ring
}

// serviceKey is the key of a service that has one.
func serviceKey(seed string) clienttoken.Secret {
	sum := sha256.Sum256([]byte(seed))
	return clienttoken.NewSecret(base64.StdEncoding.EncodeToString(sum[:]))
}

// ring is a list of keys, one for each seed.
func ring(t testing.TB, seeds ...string) keyring.Ring {
	t.Helper()
	var list []string
	for _, seed := range seeds {
		list = append(list, serviceKey(seed).Reveal())
	}
	r, err := keyring.Parse(clienttoken.NewSecret(strings.Join(list, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pass lets time pass, for the store and for its server.
func (w *world) pass(d time.Duration) {
	w.move(d)
	w.age(d)
}

// stores are all kinds of store: each has to keep each promise.
var stores = map[string]func(t testing.TB) *world{
	"Memory":    newMemory,
	"Redis":     newRedis,
	"miniredis": newMiniredis,
	"Memory, observed": func(t testing.TB) *world {
		w := newMemory(t)
		w.Store = session.Observe(w.Store, prometheus.NewRegistry())
		return w
	},
	"miniredis, observed": func(t testing.TB) *world {
		w := newMiniredis(t)
		w.Store = session.Observe(w.Store, prometheus.NewRegistry())
		return w
	},
}

func newMemory(testing.TB) *world {
	c := newClock()
	w := &world{clock: c, run: rand.Text(), age: func(time.Duration) {}, grain: ms}
	w.reopen = func(limits session.Limits) { w.Store = session.NewMemory(limits) }
	w.reopen(c.limits())
	return w
}

// newMiniredis has a server of its own, whose time passes by hand too.
func newMiniredis(t testing.TB) *world {
	mini := miniredis.RunT(t)
	w := newWorldAt(t, "redis://"+mini.Addr())
	w.age, w.mini, w.grain = mini.FastForward, mini, ms
	return w
}

// newRedis shares the real server with other tests. Its time cannot be moved,
// and need not be: the callers' clocks decide what is still good. Only what was
// used is forgotten by the server alone, so that is aged.
func newRedis(t testing.TB) *world {
	w := newWorldAt(t, redisURL(t))
	w.grain = 10 * time.Second
	w.age = func(d time.Duration) {
		for _, name := range w.prints.all() {
			if !strings.HasPrefix(name, "dropgate:used:") && !strings.HasPrefix(name, "dropgate:logout:") {
				continue
			}
			left, err := w.client.PTTL(context.Background(), name).Result()
			if err == nil && left > d {
				err = w.client.PExpire(context.Background(), name, left-d).Err()
			} else if err == nil && left > 0 {
				err = w.client.Del(context.Background(), name).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return w
}

// redisURL is the real server. Only CI has to have one.
func redisURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" && os.Getenv("CI") == "true" {
		t.Fatal("CI has to test with a real Redis: TEST_REDIS_URL is not set")
	}
	if url == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	return url
}

// newWorldAt is on a server, and removes what it puts there.
func newWorldAt(t testing.TB, url string) *world {
	t.Helper()
	c := newClock()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{clock: c, run: rand.Text(), client: redis.NewClient(options), keys: ring(t, "one")}
	w.scope = session.Scope{Issuer: "https://id.example.com", ClientID: "dropgate", UserClaim: "sub", Origin: "https://" + w.run}
	w.prints = &prints{names: map[string]bool{}}
	w.Store = w.prints
	w.reopen = func(limits session.Limits) { w.prints.open(w.replica(t, url, limits)) }
	w.reopen(c.limits())
	t.Cleanup(func() {
		w.prints.wipe(w.client)
		_ = w.client.Close()
	})
	return w
}

// replica returns a store, as one more replica would have it.
func (w *world) replica(t testing.TB, url string, limits session.Limits) *session.Redis {
	t.Helper()
	return session.NewRedis(session.RedisConfig{
		Client: dialed(t, url), Limits: limits, Keys: w.keys, Scope: w.scope,
		Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
}

// open returns a store of nobody's sessions.
func open(t testing.TB, url string) *session.Redis {
	t.Helper()
	w := &world{clock: newClock(), keys: ring(t, "one"), scope: session.Scope{Origin: "https://" + rand.Text()}}
	return w.replica(t, url, w.limits())
}

// dialed returns a client of the server at url that waits no longer than the
// service's own (internal/app).
func dialed(t testing.TB, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled, options.DialerRetries, options.MaxRetries = true, 1, 1
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = 2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// newKey is the key of a new session.
func newKey() session.Key {
	key, ok := session.KeyOf(session.NewID().Reveal())
	if !ok {
		panic("a new id is none")
	}
	return key
}

// of is a session of a subject and of an identity provider's session, both of
// this world. An empty sid is none. The user is named as the subject, where that
// can be a user's id.
func (w *world) of(subject, sid string) session.Stored {
	id := subject
	if !clienttoken.ValidUserID(id) {
		id = "somebody"
	}
	s := session.Stored{
		User:    clienttoken.User{ID: id, Claims: map[string]any{"sub": subject}},
		Subject: w.run + subject,
		IDToken: clienttoken.NewSecret("token of " + subject),
	}
	if sid != "" {
		s.SID = w.run + sid
	}
	return s
}

// start starts a session, which must end none.
func (w *world) start(t fataler, s session.Stored) session.Key {
	t.Helper()
	key := newKey()
	if ended, err := w.Start(context.Background(), key, s, session.SignIn{Began: w.Now(), Once: rand.Text()}); ended != (session.Ended{}) || err != nil {
		t.Fatalf("starting a session: ended %v, error %v", ended, err)
	}
	return key
}

// end ends sessions, as many as n.
func (w *world) end(t fataler, which session.Selector, n int) []session.Stored {
	t.Helper()
	ended, err := w.End(context.Background(), which)
	if len(ended) != n || err != nil {
		t.Fatalf("ended %d sessions, error %v, want %d", len(ended), err, n)
	}
	return ended
}

// wantThere checks that sessions are there and wantGone that they are not,
// without changing them.
func (w *world) wantThere(t fataler, keys ...session.Key) {
	t.Helper()
	for i, key := range keys {
		if _, err := w.Find(context.Background(), key, session.Peek, nil); err != nil {
			t.Fatalf("session %d of %d: error %v, want it to be there", i, len(keys), err)
		}
	}
}

func (w *world) wantGone(t fataler, keys ...session.Key) {
	t.Helper()
	for i, key := range keys {
		if _, err := w.Find(context.Background(), key, session.Peek, nil); !errors.Is(err, session.ErrNone) {
			t.Fatalf("session %d of %d: error %v, want it to be gone", i, len(keys), err)
		}
	}
}

// wantExpires uses or looks at a session that must be there until d from now.
func (w *world) wantExpires(t fataler, key session.Key, effect session.Touch, d time.Duration) {
	t.Helper()
	s, err := w.Find(context.Background(), key, effect, nil)
	if err != nil || !s.Expires.Equal(w.Now().Add(d)) {
		t.Fatalf("the session ends in %v (error %v), want in %v", s.Expires.Sub(w.Now()), err, d)
	}
}

func wantError(t fataler, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// wantFailure checks that err tells of an outage, when to come back and nothing
// of secrets.
func wantFailure(t fataler, err error, secrets ...string) {
	t.Helper()
	_ = failureOf(t, err, secrets...)
}

// failureOf is the outage that err tells of; see wantFailure.
func failureOf(t fataler, err error, secrets ...string) *clienttoken.Failure {
	t.Helper()
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter <= 0 || failure.Err == nil {
		t.Fatalf("error %#v, want a Failure", err)
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error()+failure.Remedy, secret) {
			t.Fatalf("the error tells %q: %v", secret, err)
		}
	}
	return failure
}

func wantSession(t fataler, got, want session.Stored) {
	t.Helper()
	reveal := cmp.Transformer("Reveal", clienttoken.Secret.Reveal)
	got.Over = nil
	if diff := cmp.Diff(want, got, reveal); diff != "" {
		t.Fatalf("another session than the one that was given (-want +got):\n%s", diff)
	}
}
