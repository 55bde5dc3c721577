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

// redisTimeout bounds each step of a call to Redis, so that an outage becomes an
// error soon.
const redisTimeout = 2 * time.Second

// redisBuffer holds the calls and replies of about thirty callers in one round
// trip. A larger batch costs another system call. go-redis's default is 32 KiB,
// twice for each connection.
const redisBuffer = 8 << 10

// parseRedis reads REDIS_URL. The error does not show it.
func parseRedis(url clienttoken.Secret) (*redis.Options, error) {
	options, err := redis.ParseURL(url.Reveal())
	if err != nil {
		return nil, errors.New("is not a URL such as rediss://user:password@host:6379/0")
	}
	options.ContextTimeoutEnabled = true
	options.DialTimeout = redisTimeout
	options.ReadTimeout = redisTimeout
	options.WriteTimeout = redisTimeout
	options.PoolTimeout = redisTimeout
	options.ReadBufferSize = redisBuffer
	options.WriteBufferSize = redisBuffer
	options.DialerRetries = 1
	options.MaxRetries = 1 // for connections that a restart of Redis has closed
	return options, nil
}

// openRedis returns a client. It does not connect yet.
func openRedis(options *redis.Options) *redis.Client {
	// go-redis writes each failed connection to standard error, as text. Callers
	// get these errors and log them.
	logging.Disable()
	return redis.NewClient(options)
}

// limiter returns the rate limits. They are counted in Redis if it is configured
// and available, and in memory otherwise.
func (a *App) limiter(registry prometheus.Registerer) *ratelimit.Limiter {
	c := a.config
	if a.redis == nil && c.Environment == clienttoken.Production {
		a.log.Warn().Msg("REDIS_URL is not set: each replica counts its own rate limits")
	}
	return ratelimit.New(ratelimit.Config{
		User: c.RateLimitUser, IP: c.RateLimitIP, Create: c.RateLimitNew.Limit, Redis: a.redis,
		Secret: []byte(c.ClientSecret.Reveal()),
		Now:    time.Now, Logger: a.log, Registerer: registry,
	})
}
