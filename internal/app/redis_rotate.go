package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"

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
func withCredentials(servers *redisServers) *redisCredentials {
	user, password := servers.credentials()
	if password == "" {
		return nil
	}
	c := &redisCredentials{
		current:   redisauth.NewBasicCredentials(user, password),
		listeners: map[redisauth.CredentialsListener]struct{}{},
	}
	switch {
	case servers.sentinel != nil:
		// go-redis panics on a StreamingCredentialsProvider behind Sentinels. Open
		// connections keep the user they have.
		servers.sentinel.CredentialsProviderContext = c.basic
	case servers.cluster != nil:
		servers.cluster.StreamingCredentialsProvider = c
	default:
		servers.server.StreamingCredentialsProvider = c
	}
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

// basic returns the user and the password of a new connection.
func (c *redisCredentials) basic(context.Context) (user, password string, err error) { //nolint:revive // go-redis wants three results
	c.mu.Lock()
	defer c.mu.Unlock()
	user, password = c.current.BasicAuth()
	return user, password, nil
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
	user, password := next.credentials()
	if (a.redisCredentials == nil) != (password == "") || a.redisCredentials == nil && now.login == nil || !sameRedis(now, next) {
		return errors.New("REDIS_URL: only the user and the password can change without a restart")
	}
	client := next.open()
	err := client.Ping(ctx).Err()
	_ = client.Close() // it was only a trial
	if err != nil {
		return fmt.Errorf("connecting with the new user and password: %w", err)
	}
	a.config.redis.login.become(next.login)
	if a.redisCredentials != nil {
		a.redisCredentials.set(redisauth.NewBasicCredentials(user, password))
	}
	return nil
}

// credentials returns the user and the password for Redis itself.
func (r *redisServers) credentials() (user, password string) {
	switch {
	case r.sentinel != nil:
		return r.sentinel.Username, r.sentinel.Password
	case r.cluster != nil:
		return r.cluster.Username, r.cluster.Password
	}
	return r.server.Username, r.server.Password
}

// sameRedis reports whether two URLs differ at most in users and passwords.
func sameRedis(a, b *redisServers) bool {
	switch {
	case a.sentinel != nil && b.sentinel != nil:
		x, y := a.sentinel, b.sentinel
		return x.MasterName == y.MasterName && slices.Equal(x.SentinelAddrs, y.SentinelAddrs) && x.DB == y.DB &&
			(a.login == nil) == (b.login == nil) && sameTLS(x.TLSConfig, y.TLSConfig)
	case a.cluster != nil && b.cluster != nil:
		return slices.Equal(a.cluster.Addrs, b.cluster.Addrs) && sameTLS(a.cluster.TLSConfig, b.cluster.TLSConfig)
	case a.server != nil && b.server != nil:
		x, y := a.server, b.server
		return x.Network == y.Network && x.Addr == y.Addr && x.DB == y.DB && sameTLS(x.TLSConfig, y.TLSConfig)
	}
	return false
}

func sameTLS(a, b *tls.Config) bool { return (a == nil) == (b == nil) }
