package ratelimit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/ratelimit"
)

func TestMemoryTakesOverDuringARedisOutage(t *testing.T) {
	server := miniredis.RunT(t) // the real one is not ours to stop
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	var logs bytes.Buffer
	registry, now, addr := prometheus.NewRegistry(), newClock(), newAddress()
	l := limiter(ratelimit.Config{
		IP: limit(9, time.Hour), Redis: client, Logger: zerolog.New(&logs), Registerer: registry,
	}, now)
	for range 4 {
		wantPass(t, pay(l, addr, ""), "with Redis")
	}
	server.Close()
	for range 5 {
		wantPass(t, pay(l, addr, ""), "without Redis")
	}
	wantExceeded(t, pay(l, addr, ""), ratelimit.IP, time.Hour/9)
	wantShared(t, registry, 0)

	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for strings.Count(logs.String(), "\n") < 2 && time.Now().Before(deadline) {
		_ = pay(l, newAddress(), "")
	}
	wantShared(t, registry, 1)
	if got := logs.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "each replica counts alone") || !strings.Contains(got, "all replicas share one count") {
		t.Errorf("the log says %q, want one line for the beginning and one for the end", got)
	}
}

func wantShared(t *testing.T, registry *prometheus.Registry, want int) {
	t.Helper()
	text := fmt.Sprintf(`
# HELP dropgate_rate_limits_shared 1 while rate limits are counted in Redis for all replicas; 0 while Redis fails and this replica counts alone.
# TYPE dropgate_rate_limits_shared gauge
dropgate_rate_limits_shared %d
`, want)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "dropgate_rate_limits_shared"); err != nil {
		t.Error(err)
	}
}

func TestACanceledRequestIsNotAnOutage(t *testing.T) {
	var logs bytes.Buffer
	l := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: redisClient(t), Logger: zerolog.New(&logs)}, newClock())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	charge := l.Charge(newAddress())
	if err := charge.Pay(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	wantPass(t, pay(l, newAddress(), ""), "the next one")
	if logs.String() != "" {
		t.Errorf("the log says %q", logs.String())
	}
}

// The deadline may have passed while other dependencies were called.
func TestAnExpiredDeadlineIsNotAnOutage(t *testing.T) {
	var logs bytes.Buffer
	registry := prometheus.NewRegistry()
	l := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: redisClient(t), Logger: zerolog.New(&logs), Registerer: registry}, newClock())
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	charge := l.Charge(newAddress())
	if err := charge.Pay(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want %v", err, context.DeadlineExceeded)
	}
	if wantShared(t, registry, 1); logs.String() != "" {
		t.Errorf("the log says %q", logs.String())
	}
}

// spoiled replaces the answer of each script.
type spoiled struct{ answer []any }

func (spoiled) DialHook(next redis.DialHook) redis.DialHook { return next }

func (spoiled) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s spoiled) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if script, ok := cmd.(*redis.Cmd); ok && err == nil {
			if all, ok := script.Val().([]any); ok {
				script.SetVal([]any{all[0], s.answer})
			}
		}
		return err
	}
}

func TestAnUnreadableAnswerStillCounts(t *testing.T) {
	for _, answer := range [][]any{{}, {int64(1)}, {"1", int64(1)}, {int64(1), nil}, {int64(1), int64(1), int64(1)}} {
		client, registry := redisClient(t), prometheus.NewRegistry()
		client.AddHook(spoiled{answer})
		l := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: client, Registerer: registry}, newClock())
		addr := newAddress()
		for range 9 {
			wantPass(t, pay(l, addr, ""), "the burst")
		}
		wantExceeded(t, pay(l, addr, ""), ratelimit.IP, time.Hour/9)
		wantShared(t, registry, 0)
	}
}

// With sessions in Redis, scripts may charge everything, so that Pay never calls Redis.
func TestSettleNoticesTheEndOfAnOutage(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	var logs bytes.Buffer
	registry := prometheus.NewRegistry()
	l := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: client, Logger: zerolog.New(&logs), Registerer: registry}, newClock())
	charge := l.Charge(newAddress())
	wantPass(t, charge.Settle(t.Context(), "", l.UserKey(""), [2]int64{1, 0}), "paying along")
	if n := server.CommandCount(); n != 0 {
		t.Errorf("who has paid along asked Redis %d times", n)
	}
	server.Close()
	wantPass(t, pay(l, newAddress(), ""), "without Redis")
	wantShared(t, registry, 0)
	begun := logs.Len()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); logs.Len() == begun && time.Now().Before(deadline); {
		charge := l.Charge(newAddress())
		wantPass(t, charge.Settle(t.Context(), "", l.UserKey(""), [2]int64{1, 0}), "paying along")
	}
	wantShared(t, registry, 1)
	if keys := server.Keys(); len(keys) != 0 {
		t.Errorf("the tries took from %q", keys)
	}
	asked := server.CommandCount()
	charge = l.Charge(newAddress())
	wantPass(t, charge.Settle(t.Context(), "", l.UserKey(""), [2]int64{1, 0}), "paying along, afterwards")
	if more := server.CommandCount() - asked; more != 0 {
		t.Errorf("who has paid along asked Redis %d times more", more)
	}
}
