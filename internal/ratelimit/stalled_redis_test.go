package ratelimit_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/ratelimit"
)

// silence is a Redis that accepts requests and never answers.
type silence struct{ asked atomic.Int64 }

func (*silence) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*silence) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *silence) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.asked.Add(1)
		<-ctx.Done()
		cmd.SetErr(ctx.Err())
		return ctx.Err()
	}
}

func silentRedis(t *testing.T) (*redis.Client, *silence) {
	t.Helper()
	client, said := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}), &silence{}
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(said)
	return client, said
}

// waits starts n requests, one after the other, and returns how long each took. All
// must pass.
func waits(t *testing.T, l *ratelimit.Limiter, n int, every time.Duration) []time.Duration {
	t.Helper()
	var all sync.WaitGroup
	waited := make([]time.Duration, n)
	for i := range n {
		all.Go(func() {
			began := time.Now()
			if err := pay(l, "192.0.2.1", ""); err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			waited[i] = time.Since(began)
		})
		time.Sleep(every) // of the bubble's time
	}
	all.Wait()
	return waited
}

// whoWaited returns the start times of the requests with a wait. It fails t if a wait
// was long, or if two began within a second.
func whoWaited(t *testing.T, waits []time.Duration, every time.Duration) (asked []time.Duration) {
	t.Helper()
	for i, wait := range waits {
		at := time.Duration(i) * every
		switch {
		case wait == 0:
			continue
		case wait > 250*time.Millisecond:
			t.Errorf("a request waits for %s", wait)
		case len(asked) > 0 && at-asked[len(asked)-1] < time.Second:
			t.Errorf("a request waits %s after another one did", at-asked[len(asked)-1])
		}
		asked = append(asked, at)
	}
	return asked
}

// One request a second probes Redis for 250 ms. The others are answered at once from
// memory, which enforces the limit exactly. The log has one line per outage.
func TestAStalledRedisDelaysOneRequestASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every, requests = 10 * time.Millisecond, 1000
		client, said := silentRedis(t)
		registry := prometheus.NewRegistry()
		var logs bytes.Buffer
		l := limiter(ratelimit.Config{
			IP: limit(1+requests, 24*time.Hour), Redis: client, Logger: zerolog.New(&logs), Registerer: registry,
		}, newClock())
		wantPass(t, pay(l, "192.0.2.1", ""), "who finds out")
		wantShared(t, registry, 0)
		said.asked.Store(0)

		waited := whoWaited(t, waits(t, l, requests, every), every)
		if len(waited) < 7 || int64(len(waited)) != said.asked.Load() {
			t.Errorf("%d requests have waited in 10 s, and Redis was asked %d times", len(waited), said.asked.Load())
		}
		wantExceeded(t, pay(l, "192.0.2.1", ""), ratelimit.IP, 24*time.Hour/(1+requests))
		if text := logs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "each replica counts alone") {
			t.Errorf("the log says %q, want one line", text)
		}
	})
}

// This also holds before the first timeout, and for requests that arrive meanwhile.
func TestAStalledRedisDelaysAtMost250ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := silentRedis(t)
		l := limiter(ratelimit.Config{IP: limit(100, 24*time.Hour), Redis: client}, newClock())
		for i, wait := range waits(t, l, 100, 4*time.Millisecond) {
			if wait > 250*time.Millisecond {
				t.Errorf("request %d waits for %s", i, wait)
			}
		}
		wantExceeded(t, pay(l, "192.0.2.1", ""), ratelimit.IP, 24*time.Hour/100)
	})
}
