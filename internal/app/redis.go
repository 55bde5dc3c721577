package app

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// redisTimeout is within what Redis has to answer, so that an outage is told and
// not waited for.
const redisTimeout = 2 * time.Second

// redisBuffer holds what some thirty callers ask and are told in one round trip.
// A larger one takes another system call. go-redis's own size is 32 KiB, twice
// for each connection.
const redisBuffer = 8 << 10

// openRedis returns a client of the Redis that url names. It does not connect.
// The error does not hold the url.
func openRedis(url clienttoken.Secret) (*redis.Client, error) {
	options, err := redis.ParseURL(url.Reveal())
	if err != nil {
		return nil, errors.New("is no URL such as rediss://user:password@host:6379/0")
	}
	// It writes every failed connection to standard error, as text. Callers get
	// those failures, and log them.
	logging.Disable()
	options.ContextTimeoutEnabled = true
	options.DialTimeout = redisTimeout
	options.ReadTimeout = redisTimeout
	options.WriteTimeout = redisTimeout
	options.PoolTimeout = redisTimeout
	options.ReadBufferSize = redisBuffer
	options.WriteBufferSize = redisBuffer
	options.DialerRetries = 1
	options.MaxRetries = 1 // for connections that a restart of Redis has cut
	return redis.NewClient(options), nil
}

// limiter counts in Redis where there is one. Unlike sessions it does without.
func (a *App) limiter(registry prometheus.Registerer) *ratelimit.Limiter {
	c := a.config
	if a.redis == nil && c.Environment == clienttoken.Production {
		a.log.Warn().Msg("REDIS_URL is not set: each replica counts the rate limits alone")
	}
	return ratelimit.New(ratelimit.Config{
		User: c.RateLimitUser, IP: c.RateLimitIP, Create: c.RateLimitNew.Limit, Redis: a.redis,
		Secret: []byte(c.ClientSecret.Reveal()),
		Now:    time.Now, Logger: a.log, Registerer: registry,
	})
}
