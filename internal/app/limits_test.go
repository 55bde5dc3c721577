package app_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"dropgate/internal/ratelimit"
)

func TestReplicasShareLimitsOnlyThroughRedis(t *testing.T) {
	const burst = 25
	for name, test := range map[string]struct {
		redis  string
		passes int // at the second replica, when all of the burst was used at the first
	}{
		"shared": {redisURL(t), 0},
		"alone":  {"", burst},
	} {
		t.Run(name, func(t *testing.T) {
			if test.redis != "" {
				forget(t, test.redis, mallorysLimit(t))
			}
			w := newFixture(t)
			settings := map[string]string{"RATE_LIMIT_USER": "25/1h", "REDIS_URL": test.redis}
			first, second := w.start(t, settings), w.start(t, settings)
			if passed := first.passes(t); passed != burst {
				t.Errorf("%d requests pass at the first replica, want %d", passed, burst)
			}
			if passed := second.passes(t); passed != test.passes {
				t.Errorf("%d requests pass at the second replica, want %d", passed, test.passes)
			}
		})
	}
}

// passes is how many requests of mallory's, who has no Customer, pass the limit.
func (s *service) passes(t *testing.T) int {
	t.Helper()
	for passed := range 100 {
		switch got := s.vend(t, "mallory", `{"action":"customer.read"}`); {
		case got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") != "":
			return passed
		case got.status != http.StatusConflict:
			t.Fatalf("request %d: %d %s", passed+1, got.status, got.body)
		}
	}
	t.Fatal("there is no limit")
	return 0
}

// mallorysLimit is where it is kept.
func mallorysLimit(t *testing.T) string {
	t.Helper()
	unused := redis.NewClient(&redis.Options{}) // without Redis, keys have other names
	t.Cleanup(func() { _ = unused.Close() })
	secret := []byte(newFixture(t).settings["DWOLLA_CLIENT_SECRET"])
	return ratelimit.New(ratelimit.Config{Secret: secret, Redis: unused, Now: time.Now, Registerer: prometheus.NewRegistry()}).UserKey("mallory")
}

// forget removes a key before and after the test.
func forget(t *testing.T, url, key string) {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	remove := func() {
		if err := client.Del(context.WithoutCancel(t.Context()), key).Err(); err != nil {
			t.Error(err)
		}
	}
	remove()
	t.Cleanup(func() {
		remove()
		_ = client.Close()
	})
}
