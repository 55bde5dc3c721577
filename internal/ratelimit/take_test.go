package ratelimit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/ratelimit"
)

// takes calls take of scripts/take.lua repeatedly within one script, so that the
// server's clock stands still.
func takes(t *testing.T, client *redis.Client, key string, times int, interval time.Duration) []int64 {
	t.Helper()
	script := redis.NewScript(ratelimit.TakeScript() + `
local said = {}
for i = 1, tonumber(ARGV[1]) do said[i] = take(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])) end
return said`)
	said, err := script.Run(t.Context(), client, []string{key}, times, interval.Microseconds(), 9*interval.Microseconds()).Int64Slice()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Del(t.Context(), key) })
	return said
}

// A refusal says how long to wait.
func TestTheScriptPassesExactlyTheBurst(t *testing.T) {
	key := "dropgate:limit:ip:" + newAddress()
	const second = int64(time.Second / time.Microsecond)
	want := []int64{1 * second, 2 * second, 3 * second, 4 * second, 5 * second, 6 * second, 7 * second, 8 * second, 9 * second, -second, -second}
	if said := takes(t, redisClient(t), key, len(want), time.Second); !slices.Equal(said, want) {
		t.Errorf("take says %v, want %v", said, want)
	}
}

// A key may outlive its refill, and clocks may be set.
func TestIdleTimeNeverExceedsAFullBurst(t *testing.T) {
	client, key := redisClient(t), "dropgate:limit:ip:"+newAddress()
	if err := client.Set(t.Context(), key, time.Now().Add(-time.Hour).UnixMicro(), time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	said := takes(t, client, key, 10, time.Minute)
	if minute := int64(time.Minute / time.Microsecond); said[0] != minute || said[8] != 9*minute || said[9] != -minute {
		t.Errorf("take says %v", said)
	}
}
