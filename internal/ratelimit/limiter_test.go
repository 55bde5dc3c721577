package ratelimit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"dropgate/internal/ratelimit"
)

// clock stands still until a test moves it.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Now().UnixMicro())
	return c
}

func (c *clock) Now() time.Time       { return time.UnixMicro(c.micros.Load()) }
func (c *clock) move(d time.Duration) { c.micros.Add(d.Microseconds()) }

func limit(n int, window time.Duration) ratelimit.Limit { return ratelimit.Limit{N: n, Window: window} }

// limiter returns a limiter of this process alone, unless c names a Redis.
func limiter(c ratelimit.Config, now *clock) *ratelimit.Limiter {
	c.Now = now.Now
	c.Secret = []byte("a key of the service")
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	return ratelimit.New(c)
}

// pay makes one request.
func pay(l *ratelimit.Limiter, addr, user string) error {
	charge := l.Charge(addr)
	if err := charge.Check(); err != nil {
		return err
	}
	return charge.Pay(context.Background(), user)
}

func wantPass(t *testing.T, err error, what string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wantExceeded(t *testing.T, err error, scope ratelimit.Scope, wait time.Duration) {
	t.Helper()
	exceeded, ok := errors.AsType[*ratelimit.ExceededError](err)
	if !ok || exceeded.Scope != scope {
		t.Fatalf("%v, want that the limit of the %s is exceeded", err, scope)
	}
	if exceeded.RetryAfter > wait+time.Microsecond || exceeded.RetryAfter < wait-time.Second {
		t.Fatalf("to be asked again after %s, want %s", exceeded.RetryAfter, wait)
	}
}

// redisClient connects to the real server.
func redisClient(t *testing.T) *redis.Client {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_REDIS_URL is not set")
	} else if url == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestABurstPassesThenOnePerInterval(t *testing.T) {
	now := newClock()
	l := limiter(ratelimit.Config{User: limit(60, time.Minute)}, now)
	for i := range 60 {
		wantPass(t, pay(l, "192.0.2.1", "alice"), fmt.Sprint("request ", i))
	}
	wantExceeded(t, pay(l, "192.0.2.1", "alice"), ratelimit.User, time.Second)
	wantPass(t, pay(l, "192.0.2.1", "bob"), "another user")
	now.move(999 * time.Millisecond)
	wantExceeded(t, pay(l, "192.0.2.1", "alice"), ratelimit.User, time.Millisecond)
	now.move(time.Millisecond)
	wantPass(t, pay(l, "192.0.2.1", "alice"), "a second later")
	wantExceeded(t, pay(l, "192.0.2.1", "alice"), ratelimit.User, time.Second)
	now.move(time.Minute)
	for i := range 60 {
		wantPass(t, pay(l, "192.0.2.1", "alice"), fmt.Sprint("a minute later, request ", i))
	}
	wantExceeded(t, pay(l, "192.0.2.1", "alice"), ratelimit.User, time.Second)
}

func TestNeverMoreThanTheLimitInAWindow(t *testing.T) {
	for _, of := range []ratelimit.Limit{limit(9, time.Second), limit(11, time.Minute), limit(300_000, time.Second), limit(1_000_000, 24*time.Hour)} {
		now := newClock()
		l := limiter(ratelimit.Config{IP: of}, now)
		passed := 0
		for pay(l, "192.0.2.1", "") == nil {
			passed++
		}
		if passed != of.N {
			t.Errorf("%d of %d: %d at once", of.N, of.Window, passed)
		}
		passed = 0
		for range 2 { // what is refilled in a window, halfway and at its end
			for now.move(of.Window / 2); pay(l, "192.0.2.1", "") == nil; passed++ {
			}
		}
		if passed > of.N || passed < of.N/2 {
			t.Errorf("%d of %s: %d in the window after the burst", of.N, of.Window, passed)
		}
	}
}

func TestIPv6CountsByItsSlash64(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"", "no address", true},
		{"", "192.0.2.1", false},
	} {
		l := limiter(ratelimit.Config{IP: limit(9, time.Minute)}, newClock())
		for range 9 {
			wantPass(t, pay(l, c.a, ""), c.a)
		}
		if err := pay(l, c.b, ""); (err != nil) != c.same {
			t.Errorf("%q after %q: %v", c.b, c.a, err)
		}
	}
}

func TestARefusedAddressChargesNoUser(t *testing.T) {
	for name, client := range map[string]func(*testing.T) redis.UniversalClient{
		"memory": func(*testing.T) redis.UniversalClient { return nil }, "Redis": func(t *testing.T) redis.UniversalClient { t.Helper(); return redisClient(t) },
	} {
		t.Run(name, func(t *testing.T) {
			now, user, addr := newClock(), rand.Text(), newAddress()
			l := limiter(ratelimit.Config{User: limit(10, time.Hour), IP: limit(9, time.Hour), Redis: client(t)}, now)
			for range 9 {
				wantPass(t, pay(l, addr, user), "the burst")
			}
			for range 3 {
				charge := l.Charge(addr)
				wantExceeded(t, charge.Pay(t.Context(), user), ratelimit.IP, time.Hour/9)
			}
			wantPass(t, pay(l, newAddress(), user), "from elsewhere")
			wantExceeded(t, pay(l, newAddress(), user), ratelimit.User, time.Hour/10)
		})
	}
}

// newAddress returns an address in a /64 of its own.
func newAddress() string {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("2001:%x:%x:%x::1", b[:2], b[2:4], b[4:])
}

func TestCheckChargesNothing(t *testing.T) {
	l := limiter(ratelimit.Config{IP: limit(9, time.Minute)}, newClock())
	charge := l.Charge("192.0.2.1")
	for range 20 {
		wantPass(t, charge.Check(), "a check")
	}
	for range 9 {
		wantPass(t, pay(l, "192.0.2.1", ""), "the burst")
	}
	wantExceeded(t, charge.Check(), ratelimit.IP, time.Minute/9)
}

func TestARequestIsChargedOnce(t *testing.T) {
	l := limiter(ratelimit.Config{IP: limit(9, time.Minute)}, newClock())
	for range 9 {
		charge := l.Charge("192.0.2.1")
		for range 3 {
			wantPass(t, charge.Pay(t.Context(), ""), "paying")
		}
	}
	wantExceeded(t, pay(l, "192.0.2.1", ""), ratelimit.IP, time.Minute/9)
}

func TestReplicasShareOneCountInRedis(t *testing.T) {
	const replicas, n = 4, 60
	client, user, now := redisClient(t), rand.Text(), newClock()
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	for range replicas {
		l := limiter(ratelimit.Config{User: limit(n, time.Hour), Redis: client}, now)
		for range 5 {
			all.Go(func() {
				for range n / 4 {
					if pay(l, newAddress(), user) == nil {
						passed.Add(1)
					} else {
						refused.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	if passed.Load() != n || refused.Load() != replicas*5*(n/4)-n {
		t.Errorf("%d passed and %d were refused, want %d and the rest", passed.Load(), refused.Load(), n)
	}
}

// A replica does not ask again right after a refusal.
func TestRefusalsOfRedisAreCached(t *testing.T) {
	client, addr, now := redisClient(t), newAddress(), newClock()
	first := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: client}, now)
	second := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: client}, now)
	for range 9 {
		wantPass(t, pay(first, addr, ""), "the burst")
	}
	charge := first.Charge(addr)
	wantExceeded(t, charge.Check(), ratelimit.IP, time.Hour/9)
	charge = second.Charge(addr)
	wantPass(t, charge.Check(), "the other replica does not know yet")
	wantExceeded(t, charge.Pay(t.Context(), ""), ratelimit.IP, time.Hour/9)
	charge = second.Charge(addr)
	wantExceeded(t, charge.Check(), ratelimit.IP, time.Hour/9)
}

func TestRedisKeysExpireAndNameNoUser(t *testing.T) {
	client, addr, user := redisClient(t), newAddress(), "user-"+rand.Text()
	l := limiter(ratelimit.Config{User: limit(60, time.Hour), IP: limit(300, 10*time.Hour), Redis: client}, newClock())
	charge := l.Charge(addr)
	address, _ := charge.ScriptArgs()
	key := l.UserKey(user)
	if strings.Contains(key, user) || strings.Contains(address, strings.TrimSuffix(addr, "::1")) {
		t.Errorf("keys %q and %q name the user and the address", key, address)
	}
	for range 3 {
		wantPass(t, pay(l, addr, user), "paying")
	}
	for key, want := range map[string]time.Duration{key: 3 * time.Minute, address: 6 * time.Minute} {
		left, err := client.PTTL(t.Context(), key).Result()
		if err != nil || left > want || left < want-30*time.Second {
			t.Errorf("%s lives for %s (%v), want %s", key, left, err, want)
		}
	}
}

func TestRefusalsAreCountedByScope(t *testing.T) {
	registry, now := prometheus.NewRegistry(), newClock()
	l := limiter(ratelimit.Config{User: limit(9, time.Hour), IP: limit(10, time.Hour), Registerer: registry}, now)
	for range 9 {
		wantPass(t, pay(l, "192.0.2.1", "alice"), "the burst")
	}
	wantExceeded(t, pay(l, "192.0.2.1", "alice"), ratelimit.User, time.Hour/9)
	wantPass(t, pay(l, "192.0.2.1", "bob"), "the last of the address")
	wantExceeded(t, pay(l, "192.0.2.1", "carol"), ratelimit.IP, time.Hour/10)
	wantExceeded(t, pay(l, "192.0.2.1", "carol"), ratelimit.IP, time.Hour/10)
	want := `
# HELP dropgate_rate_limited_total Requests refused with 429, by limit: user, ip or create (customer.create tokens).
# TYPE dropgate_rate_limited_total counter
dropgate_rate_limited_total{scope="create"} 0
dropgate_rate_limited_total{scope="ip"} 2
dropgate_rate_limited_total{scope="user"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "dropgate_rate_limited_total"); err != nil {
		t.Error(err)
	}
}

func BenchmarkPay(b *testing.B) {
	l := limiter(ratelimit.Config{User: limit(1_000_000, time.Second), IP: limit(1_000_000, time.Second)}, newClock())
	for b.Loop() {
		_ = pay(l, "192.0.2.1", "alice")
	}
}
