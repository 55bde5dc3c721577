package app

import (
	"context"
	"crypto/tls"
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

// redisReload is how often calls make the client ask a cluster for its nodes. A dead node
// cannot redirect to the new one, and go-redis's default is a minute.
const redisReload = time.Second

// redisBuffer holds the calls and replies of about thirty callers in one round
// trip. A larger batch costs another system call. go-redis's default is 32 KiB,
// twice for each connection.
const redisBuffer = 8 << 10

// redisServers are the servers of REDIS_URL. One field is set, by REDIS_MODE.
type redisServers struct {
	server   *redis.Options
	sentinel *redis.FailoverOptions
	cluster  *redis.ClusterOptions
	login    *sentinelLogin // nil for Sentinels without a password
}

// The values of REDIS_MODE.
const (
	redisServer   = "server"
	redisSentinel = "sentinel"
	redisCluster  = "cluster"
)

// parseRedis reads REDIS_URL. The error does not show it.
func parseRedis(url clienttoken.Secret, mode string) (*redisServers, error) {
	switch mode {
	case redisSentinel:
		return parseSentinel(url)
	case redisCluster:
		return parseCluster(url)
	}
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
	return &redisServers{server: options}, nil
}

// errReplicas: a replica of Redis does not know the latest logouts.
var errReplicas = errors.New("must not read from replicas of Redis")

// parseSentinel reads the URL of the Sentinels.
func parseSentinel(url clienttoken.Secret) (*redisServers, error) {
	options, err := redis.ParseFailoverURL(url.Reveal())
	if err != nil || options.MasterName == "" {
		return nil, errors.New("is not a URL such as rediss://sentinel-1:26379/0?master_name=mymaster&addr=sentinel-2:26379&username=user&password=password, for REDIS_MODE=sentinel")
	}
	if options.ReplicaOnly || options.RouteByLatency || options.RouteRandomly {
		return nil, errReplicas
	}
	options.ContextTimeoutEnabled = true
	options.DialTimeout = redisTimeout
	options.ReadTimeout = redisTimeout
	options.WriteTimeout = redisTimeout
	options.PoolTimeout = redisTimeout
	options.ReadBufferSize = redisBuffer
	options.WriteBufferSize = redisBuffer
	options.DialerRetries = 1
	options.MaxRetries = 1
	options.TLSConfig = forEachHost(options.TLSConfig)
	return &redisServers{sentinel: options, login: moveSentinelLogin(options)}, nil
}

// parseCluster reads the URL of some nodes of a cluster.
func parseCluster(url clienttoken.Secret) (*redisServers, error) {
	options, err := redis.ParseClusterURL(url.Reveal())
	if err != nil {
		return nil, errors.New("is not a URL such as rediss://user:password@node-1:6379?addr=node-2:6379&addr=node-3:6379, for REDIS_MODE=cluster")
	}
	if options.ReadOnly || options.RouteByLatency || options.RouteRandomly {
		return nil, errReplicas
	}
	options.ContextTimeoutEnabled = true
	options.DialTimeout = redisTimeout
	options.ReadTimeout = redisTimeout
	options.WriteTimeout = redisTimeout
	options.PoolTimeout = redisTimeout
	options.ReadBufferSize = redisBuffer
	options.WriteBufferSize = redisBuffer
	options.DialerRetries = 1
	options.ClusterStateReloadInterval = redisReload
	options.TLSConfig = forEachHost(options.TLSConfig)
	return &redisServers{cluster: options}, nil
}

// forEachHost makes each server prove its own name. go-redis expects the name of the
// first one from all.
func forEachHost(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.ServerName, c.MinVersion = "", tls.VersionTLS12
	return c
}

// private reports whether the traffic stays on this machine or has verified TLS.
// Sentinels and nodes name further servers, so their own address proves nothing.
func (r *redisServers) private() bool {
	switch {
	case r.sentinel != nil:
		return r.sentinel.TLSConfig != nil && !r.sentinel.TLSConfig.InsecureSkipVerify
	case r.cluster != nil:
		return r.cluster.TLSConfig != nil && !r.cluster.TLSConfig.InsecureSkipVerify
	}
	return redisIsPrivate(r.server)
}

// poolSize returns the size of a pool of connections if the URL has one, or 0.
func (r *redisServers) poolSize() int {
	switch {
	case r.sentinel != nil:
		return r.sentinel.PoolSize
	case r.cluster != nil:
		return r.cluster.PoolSize
	}
	return r.server.PoolSize
}

// connectRedis opens what needs Redis, if there is one.
func (a *App) connectRedis(registry prometheus.Registerer) {
	if a.config.redis == nil {
		return
	}
	a.redisCredentials = withCredentials(a.config.redis)
	a.redis = a.config.redis.open()
	registry.MustRegister(newRedisPool(a.redis.PoolStats))
	a.notices = a.openNotices(registry)
}

// open returns a client. It does not connect yet.
func (r *redisServers) open() redis.UniversalClient {
	// go-redis writes each failed connection to standard error, as text. Callers
	// get these errors and log them.
	logging.Disable()
	switch {
	case r.sentinel != nil:
		return redis.NewFailoverClient(r.sentinel)
	case r.cluster != nil:
		return redis.NewClusterClient(r.cluster)
	}
	return redis.NewClient(r.server)
}

// redisTag puts all keys of this service into one slot of a cluster, because sessions,
// their indexes, their epoch and their limits change together. It is empty for other
// servers.
func (c Config) redisTag() string {
	if c.redis == nil || c.redis.cluster == nil {
		return ""
	}
	return "{" + c.redisScope() + "}"
}

// pingRedis asks the server for sessions. In a cluster, PING would ask any server.
func (a *App) pingRedis(ctx context.Context) error {
	if a.config.redisTag() == "" {
		return a.redis.Ping(ctx).Err() //nolint:wrapcheck // readiness classifies it
	}
	err := a.redis.Get(ctx, "dropgate:epoch:"+a.config.redisTag()+"probe").Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err //nolint:wrapcheck // likewise
}

// limiter returns the rate limits. They are counted in Redis if it is configured
// and available, and in memory otherwise.
func (a *App) limiter(registry prometheus.Registerer) *ratelimit.Limiter {
	c := a.config
	if a.redis == nil && c.Environment == clienttoken.Production {
		a.log.Warn().Msg("REDIS_URL is not set: each replica counts its own rate limits")
	}
	a.limits = ratelimit.New(ratelimit.Config{
		User: c.RateLimitUser, IP: c.RateLimitIP, Create: c.RateLimitNew.Limit, Redis: a.redis, RedisTag: c.redisTag(),
		Secret: c.clientSecrets()[0],
		Now:    time.Now, Logger: a.log, Registerer: registry,
	})
	return a.limits
}
