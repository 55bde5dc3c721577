package ratelimit

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"dropgate/internal/latency"
	"dropgate/internal/redisbatch"
	"dropgate/internal/tracing"
)

//go:embed scripts/*.lua
var scripts embed.FS

// TakeScript is the text of the Lua function take(key, interval, capacity), for
// scripts of other packages: see [Charge.ScriptArgs].
func TakeScript() string { return text("take") }

func text(name string) string {
	found, err := scripts.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // never: the file is embedded
	}
	return string(found)
}

// Redis must answer within sharedTimeout. After a fault, one request every retryEvery
// tries Redis again; the others do not wait for it.
const (
	sharedTimeout = 250 * time.Millisecond
	retryEvery    = time.Second
)

// shared counts in Redis for all replicas, by the clock of Redis.
type shared struct {
	pay      *redisbatch.Script
	duration prometheus.Observer
	noKey    string
	terms    []any
	away     *atomic.Bool  // true while each replica counts alone
	fault    *atomic.Value // the last error, for the log
	breaker  *gobreaker.CircuitBreaker[[2]int64]
}

func newShared(c Config) *shared {
	up := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dropgate_rate_limits_shared",
		Help: "1 while rate limits are counted in Redis for all replicas; 0 while Redis fails and this replica counts alone.",
	})
	up.Set(1)
	duration := prometheus.NewHistogram(latency.Store("dropgate_rate_limit_duration_seconds",
		"Time of a request to Redis for the rate limits. Requests that find a session charge the limits with that, see dropgate_session_store_duration_seconds."))
	c.Registerer.MustRegister(up, duration)
	away, fault := new(atomic.Bool), new(atomic.Value)
	return &shared{
		noKey:    noKey(c.RedisTag),
		away:     away,
		fault:    fault,
		duration: duration,
		pay:      redisbatch.New(redisbatch.Config{Client: c.Redis, Text: TakeScript() + text("pay"), Keys: 2, Args: 4, Timeout: sharedTimeout}),
		terms:    []any{c.IP.interval(), c.IP.capacity(), c.User.interval(), c.User.capacity()},
		breaker: gobreaker.NewCircuitBreaker[[2]int64](gobreaker.Settings{
			Timeout:       retryEvery,
			ReadyToTrip:   func(gobreaker.Counts) bool { return true },
			IsExcluded:    func(err error) bool { return errors.Is(err, errGone) },
			OnStateChange: turned(c.Logger, up, away, fault),
		}),
	}
}

// failure wraps errors in the one type that an atomic.Value needs.
type failure struct{ error }

// turned shows the start and the end of an outage, but not the attempts in between. The
// owner of Redis logs outages, so these lines are for debugging.
func turned(log zerolog.Logger, up prometheus.Gauge, away *atomic.Bool, fault *atomic.Value) func(string, gobreaker.State, gobreaker.State) {
	return func(_ string, from, to gobreaker.State) {
		switch {
		case from == gobreaker.StateClosed:
			away.Store(true)
			up.Set(0)
			why, _ := fault.Load().(failure)
			log.Debug().AnErr("reason", why.error).Msg("rate limits: Redis failed, each replica counts alone")
		case to == gobreaker.StateClosed:
			away.Store(false)
			up.Set(1)
			log.Debug().Msg("rate limits: Redis recovered, all replicas share one count")
		}
	}
}

var (
	errGone   = errors.New("the request was canceled or ran out of time; the state of Redis is unknown")
	errAnswer = errors.New("unexpected answer of the script")
)

// noKey stands for "no limit" in scripts/take.lua, in the slot of a hash tag.
func noKey(tag string) string { return "dropgate:limit:" + tag + "none" }

// take charges an address and a user in one step. After an error it is unknown whether
// they were charged.
func (s *shared) take(ctx context.Context, address, user string) ([2]int64, error) {
	return s.takeFor(ctx, address, user, s.terms)
}

// takeFor is take with other terms: interval and capacity of the first key, then of
// the second.
func (s *shared) takeFor(ctx context.Context, address, user string, terms []any) ([2]int64, error) {
	ctx, span := tracing.Start(ctx, "limits")
	defer span.End()
	took, err := s.breaker.Execute(func() ([2]int64, error) {
		began := time.Now()
		answer, err := s.pay.Run(ctx, redisbatch.Call{Keys: []string{cmp.Or(address, s.noKey), cmp.Or(user, s.noKey)}, Args: terms})
		latency.Observe(ctx, s.duration, time.Since(began))
		if err != nil && ctx.Err() != nil {
			err = errGone
		}
		var took [2]int64
		if err == nil {
			took, err = amounts(answer)
		}
		if err != nil {
			s.fault.Store(failure{err})
		}
		return took, err
	})
	if err != nil {
		span.Fail("unavailable")
	}
	return took, err //nolint:wrapcheck // no caller reads it: memory takes over
}

// amounts reads the answer of scripts/pay.lua.
func amounts(answer []any) (took [2]int64, err error) {
	if len(answer) != len(took) {
		return took, errAnswer
	}
	for i := range took {
		amount, ok := answer[i].(int64)
		if !ok {
			return took, errAnswer
		}
		took[i] = amount
	}
	return took, nil
}
