package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
	redisauth "github.com/redis/go-redis/v9/auth"
)

// redisCredentials are the user and the password of Redis. When they change, go-redis
// authenticates its connections anew, each between two uses.
type redisCredentials struct {
	mu        sync.Mutex
	current   redisauth.Credentials
	listeners map[redisauth.CredentialsListener]struct{} // the open connections
}

// withCredentials lets the credentials of a client change. Without a password there
// are none, and the result is nil.
func withCredentials(options *redis.Options) *redisCredentials {
	if options.Password == "" {
		return nil
	}
	c := &redisCredentials{
		current:   redisauth.NewBasicCredentials(options.Username, options.Password),
		listeners: map[redisauth.CredentialsListener]struct{}{},
	}
	options.StreamingCredentialsProvider = c
	return c
}

// Subscribe implements redisauth.StreamingCredentialsProvider.
func (c *redisCredentials) Subscribe(l redisauth.CredentialsListener) (redisauth.Credentials, redisauth.UnsubscribeFunc, error) { //nolint:revive // the interface has three results
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners[l] = struct{}{}
	return c.current, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.listeners, l)
		return nil
	}, nil
}

func (c *redisCredentials) set(next redisauth.Credentials) {
	c.mu.Lock()
	c.current = next
	listeners := make([]redisauth.CredentialsListener, 0, len(c.listeners))
	for l := range c.listeners {
		listeners = append(listeners, l)
	}
	c.mu.Unlock()
	for _, l := range listeners {
		l.OnNext(next)
	}
}

// rotateRedis changes the user and the password of Redis, once Redis accepts them.
func (a *App) rotateRedis(ctx context.Context, c *Config) error {
	if a.redis == nil {
		return nil
	}
	now, next := a.live.Load().redis, c.redis
	if a.redisCredentials == nil || next.Password == "" || !sameRedis(now, next) {
		return errors.New("REDIS_URL: only the user and the password can change without a restart")
	}
	trial := *next
	trial.PoolSize, trial.MinIdleConns = 1, 0
	client := openRedis(&trial)
	err := client.Ping(ctx).Err()
	_ = client.Close() // it was only a trial
	if err != nil {
		return fmt.Errorf("connecting with the new user and password: %w", err)
	}
	a.redisCredentials.set(redisauth.NewBasicCredentials(next.Username, next.Password))
	return nil
}

// sameRedis reports whether two URLs differ at most in the user and the password.
func sameRedis(a, b *redis.Options) bool {
	return a.Network == b.Network && a.Addr == b.Addr && a.DB == b.DB && (a.TLSConfig == nil) == (b.TLSConfig == nil)
}
