package app

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// sentinelLogin holds the user and the password of the Sentinels, which differ from those
// of Redis. go-redis would use the first ones until the process ends.
type sentinelLogin struct {
	mu             sync.Mutex
	user, password string
}

// moveSentinelLogin takes the login out of the options. Without a password it is nil.
func moveSentinelLogin(o *redis.FailoverOptions) *sentinelLogin {
	if o.SentinelPassword == "" {
		return nil
	}
	l := &sentinelLogin{user: o.SentinelUsername, password: o.SentinelPassword}
	o.SentinelUsername, o.SentinelPassword = "", ""
	o.OnConnect = l.logIn
	return l
}

// logIn logs in to the server of a new connection if it still demands that. go-redis has
// logged in to Redis already, so this is a Sentinel.
func (l *sentinelLogin) logIn(ctx context.Context, connection *redis.Conn) error {
	err := connection.Ping(ctx).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		return nil
	}
	l.mu.Lock()
	user, password := l.user, l.password
	l.mu.Unlock()
	if user != "" {
		return connection.AuthACL(ctx, user, password).Err() //nolint:wrapcheck // readiness classifies it
	}
	return connection.Auth(ctx, password).Err() //nolint:wrapcheck // likewise
}

// become takes over another login, for new connections.
func (l *sentinelLogin) become(other *sentinelLogin) {
	if l == nil || other == nil {
		return
	}
	other.mu.Lock()
	user, password := other.user, other.password
	other.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.user, l.password = user, password
}
