package session_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"slices"
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
	// remembered is how long single-use ids and logouts are remembered.
	remembered = 31 * time.Minute
)

// fataler is a *testing.T, *testing.B or *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// clock is the time of a world. It changes only through move.
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

// world is a store without sessions. On the shared Redis its scope is new.
type world struct {
	session.Store
	*clock

	run string                // prefix of all names, unique to the test
	age func(d time.Duration) // moves the server's clock
	// grain is how close to an expiry a test may look. The clock of a real server
	// runs on during the test.
	grain  time.Duration
	reopen func(session.Limits)
	client *redis.Client        // the test's own connection; nil for Memory
	mini   *miniredis.Miniredis // nil for other servers
	keysIn *recorder            // the test's keys in Redis; nil for Memory
	scope  session.Scope
	keys   keyring.Ring
}

// serviceKey derives a service key from a seed.
func serviceKey(seed string) clienttoken.Secret {
	sum := sha256.Sum256([]byte(seed))
	return clienttoken.NewSecret(base64.StdEncoding.EncodeToString(sum[:]))
}

// ring returns one service key per seed.
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

// pass moves the clocks of the store and of its server.
func (w *world) pass(d time.Duration) {
	w.move(d)
	w.age(d)
}

// stores are all kinds of store. Each passes the same tests.
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

// newMiniredis starts a server whose clock the test moves.
func newMiniredis(t testing.TB) *world {
	mini := miniredis.RunT(t)
	w := newWorldAt(t, "redis://"+mini.Addr())
	w.age, w.mini, w.grain = mini.FastForward, mini, ms
	return w
}

// newRedis shares the real server with other tests. Its clock cannot be moved. Only
// single-use ids and logouts depend on it, so age shortens their expiry.
func newRedis(t testing.TB) *world {
	w := newWorldAt(t, redisURL(t))
	w.grain = 10 * time.Second
	w.age = func(d time.Duration) {
		names := slices.DeleteFunc(w.keysIn.all(), func(name string) bool {
			return !strings.HasPrefix(name, "dropgate:used:") && !strings.HasPrefix(name, "dropgate:logout:")
		})
		shorten := redis.NewScript(`for _, name in ipairs(KEYS) do
			local left = redis.call('PTTL', name)
			left = left - tonumber(ARGV[1])
			redis.call('PEXPIRE', name, left)
		end`)
		for some := range slices.Chunk(names, 1000) {
			if err := shorten.Run(context.Background(), w.client, some, d.Milliseconds()).Err(); err != nil && !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
		}
	}
	return w
}

// redisURL returns the real server. Without one the test is skipped, except in CI.
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

// newWorldAt uses the server at url, and removes its keys after the test.
func newWorldAt(t testing.TB, url string) *world {
	t.Helper()
	c := newClock()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{clock: c, run: rand.Text(), client: redis.NewClient(options), keys: ring(t, "one")}
	w.scope = session.Scope{Issuer: "https://id.example.com", ClientID: "dropgate", UserClaim: "sub", Origin: "https://" + w.run}
	w.keysIn = &recorder{names: map[string]bool{}}
	w.Store = w.keysIn
	w.reopen = func(limits session.Limits) { w.keysIn.open(w.replica(t, url, limits)) }
	w.reopen(c.limits())
	t.Cleanup(func() {
		w.keysIn.wipe(w.client)
		_ = w.client.Close()
	})
	return w
}

// replica returns the store of another replica.
func (w *world) replica(t testing.TB, url string, limits session.Limits) *session.Redis {
	t.Helper()
	return session.NewRedis(session.RedisConfig{
		Client: dialed(t, url), Limits: limits, Keys: w.keys, Scope: w.scope,
		Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
}

// open returns a store in a new scope.
func open(t testing.TB, url string) *session.Redis {
	t.Helper()
	w := &world{clock: newClock(), keys: ring(t, "one"), scope: session.Scope{Origin: "https://" + rand.Text()}}
	return w.replica(t, url, w.limits())
}

// dialed returns a client with the timeouts of the service (internal/app).
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

// newKey returns the key of a new session id.
func newKey() session.Key {
	key, ok := session.KeyOf(session.NewID().Reveal())
	if !ok {
		panic("a new id is malformed")
	}
	return key
}

// of returns a session with a subject and a sid of this world; the sid may be
// empty. The user id is the subject where that is valid.
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

// start starts a session and fails the test if others end.
func (w *world) start(t fataler, s session.Stored) session.Key {
	t.Helper()
	key := newKey()
	if ended, err := w.Start(context.Background(), key, s, session.SignIn{Began: w.Now(), Once: rand.Text()}); ended != (session.Ended{}) || err != nil {
		t.Fatalf("starting a session: ended %v, error %v", ended, err)
	}
	return key
}

// end ends sessions and fails the test unless there are n.
func (w *world) end(t fataler, sel session.Selector, n int) []session.Stored {
	t.Helper()
	ended, err := w.End(context.Background(), sel)
	if len(ended) != n || err != nil {
		t.Fatalf("ended %d sessions, error %v, want %d", len(ended), err, n)
	}
	return ended
}

// wantThere checks that sessions exist, without extending them.
func (w *world) wantThere(t fataler, keys ...session.Key) {
	t.Helper()
	for i, key := range keys {
		if _, err := w.Find(context.Background(), key, session.Peek, nil); err != nil {
			t.Fatalf("session %d of %d: error %v, want a session", i, len(keys), err)
		}
	}
}

// wantGone checks that sessions do not exist.
func (w *world) wantGone(t fataler, keys ...session.Key) {
	t.Helper()
	for i, key := range keys {
		if _, err := w.Find(context.Background(), key, session.Peek, nil); !errors.Is(err, session.ErrNone) {
			t.Fatalf("session %d of %d: error %v, want ErrNone", i, len(keys), err)
		}
	}
}

// wantExpires finds a session and checks that it expires d from now.
func (w *world) wantExpires(t fataler, key session.Key, touch session.Touch, d time.Duration) {
	t.Helper()
	s, err := w.Find(context.Background(), key, touch, nil)
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

// wantFailure checks that err is an outage with RetryAfter and without secrets.
func wantFailure(t fataler, err error, secrets ...string) {
	t.Helper()
	_ = failureOf(t, err, secrets...)
}

// failureOf is wantFailure and returns the outage.
func failureOf(t fataler, err error, secrets ...string) *clienttoken.Failure {
	t.Helper()
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter <= 0 || failure.Err == nil {
		t.Fatalf("error %#v, want a Failure", err)
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error()+failure.Remedy, secret) {
			t.Fatalf("the error contains %q: %v", secret, err)
		}
	}
	return failure
}

func wantSession(t fataler, got, want session.Stored) {
	t.Helper()
	reveal := cmp.Transformer("Reveal", clienttoken.Secret.Reveal)
	got.Over = nil
	if diff := cmp.Diff(want, got, reveal); diff != "" {
		t.Fatalf("the session differs (-want +got):\n%s", diff)
	}
}
