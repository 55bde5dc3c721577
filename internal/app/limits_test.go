package app_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/ratelimit"
)

func TestReplicasShareTheirLimitsInRedisAndCountAloneWithoutIt(t *testing.T) {
	const burst = 9
	for name, test := range map[string]struct {
		redis  string
		passes int // at the second replica, when all of the burst was used at the first
	}{
		"shared": {redisURL(t), 0},
		"alone":  {"", burst},
	} {
		t.Run(name, func(t *testing.T) {
			if test.redis != "" {
				forget(t, test.redis, ratelimit.UserKey("mallory"))
			}
			w := newWorld(t)
			settings := map[string]string{"RATE_LIMIT_USER": "9/1h", "REDIS_URL": test.redis}
			first, second := w.start(t, settings), w.start(t, settings)
			for i := range burst {
				if got := first.vend(t, "mallory", `{"action":"customer.read"}`); got.status != http.StatusConflict {
					t.Fatalf("request %d: %d %s", i+1, got.status, got.body)
				}
			}
			passes := 0
			for second.vend(t, "mallory", `{"action":"customer.read"}`).status != http.StatusTooManyRequests {
				if passes++; passes > burst {
					t.Fatal("the second replica has no limit")
				}
			}
			if passes != test.passes {
				t.Errorf("%d requests pass at the second replica, want %d", passes, test.passes)
			}
			if got := first.vend(t, "mallory", `{"action":"customer.read"}`); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
				t.Errorf("at the first: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
			}
		})
	}
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
