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

	"dropgate/internal/redisbatch"
)

//go:embed scripts/*.lua
var scripts embed.FS

// Take is the text of the Lua function take(key, interval, capacity), for a
// script of another room that takes along: see [Charge.Along].
func Take() string { return text("take") }

func text(name string) string {
	found, err := scripts.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err) // only when the file is not in the binary
	}
	return string(found)
}

// Redis has to answer within sharedTimeout. After a fault it is asked again by
// one request each retryEvery; the others are not held up.
const (
	sharedTimeout = 250 * time.Millisecond
	retryEvery    = time.Second
)

// shared counts in Redis, for all replicas, by Redis's clock.
type shared struct {
	pay     *redisbatch.Script
	terms   []any
	away    *atomic.Bool  // whether each replica counts alone
	fault   *atomic.Value // the error of the last failed try, for the log
	breaker *gobreaker.CircuitBreaker[[2]int64]
}

func newShared(c Config) *shared {
	up := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dropgate_rate_limits_shared",
		Help: "1 while the rate limits are counted in Redis, for all replicas together; 0 while Redis does not answer or refuses, and this replica counts alone.",
	})
	up.Set(1)
	c.Registerer.MustRegister(up)
	away, fault := new(atomic.Bool), new(atomic.Value)
	return &shared{
		away:  away,
		fault: fault,
		pay:   redisbatch.New(redisbatch.Config{Client: c.Redis, Text: Take() + text("pay"), Keys: 2, Args: 4, Timeout: sharedTimeout}),
		terms: []any{c.IP.interval(), c.IP.capacity(), c.User.interval(), c.User.capacity()},
		breaker: gobreaker.NewCircuitBreaker[[2]int64](gobreaker.Settings{
			Timeout:       retryEvery,
			ReadyToTrip:   func(gobreaker.Counts) bool { return true },
			IsExcluded:    func(err error) bool { return errors.Is(err, errGone) },
			OnStateChange: turned(c.Logger, up, away, fault),
		}),
	}
}

// failure is an error as an atomic.Value holds it: always of one type.
type failure struct{ error }

// turned shows the beginning and the end of an outage, and no try in between.
func turned(log zerolog.Logger, up prometheus.Gauge, away *atomic.Bool, fault *atomic.Value) func(string, gobreaker.State, gobreaker.State) {
	return func(_ string, from, to gobreaker.State) {
		switch {
		case from == gobreaker.StateClosed:
			away.Store(true)
			up.Set(0)
			why, _ := fault.Load().(failure)
			log.Warn().AnErr("reason", why.error).Msg("Redis does not count the rate limits: each replica counts alone until it does")
		case to == gobreaker.StateClosed:
			away.Store(false)
			up.Set(1)
			log.Info().Msg("Redis counts the rate limits again, for all replicas together")
		}
	}
}

var (
	errGone   = errors.New("the caller has gone, or has no time left: nothing is known of Redis")
	errAnswer = errors.New("an answer that is none")
)

// noKey is the key of whoever has no limit, as scripts/take.lua knows it.
const noKey = "dropgate:limit:none"

// take takes from an address's and a user's limit in one step. An error means
// that nobody knows whether it did.
func (s *shared) take(ctx context.Context, address, user string) ([2]int64, error) {
	return s.takeFor(ctx, address, user, s.terms)
}

// takeFor is take with other limits: interval and capacity of the first key, then
// of the second.
func (s *shared) takeFor(ctx context.Context, address, user string, terms []any) ([2]int64, error) {
	took, err := s.breaker.Execute(func() ([2]int64, error) {
		answer, err := s.pay.Run(ctx, redisbatch.Call{Keys: []string{cmp.Or(address, noKey), cmp.Or(user, noKey)}, Args: terms})
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
	return took, err //nolint:wrapcheck // nobody reads it: memory takes over
}

// amounts reads what scripts/pay.lua returns.
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
