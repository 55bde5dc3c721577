package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"dropgate/bench/scratch"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
	"dropgate/internal/ratelimit"
)

// keeper is a Redis of the bench, without persistence.
type keeper struct {
	url     string
	client  *redis.Client
	process *process
}

// startRedis starts a Redis. Without redis-server in PATH it returns nil.
func (s *stage) startRedis(ctx context.Context) (*keeper, error) {
	if _, err := exec.LookPath("redis-server"); errors.Is(err, exec.ErrNotFound) {
		return nil, nil //nolint:nilnil // as documented
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("splitting %s: %w", addr, err)
	}
	p, err := s.start(ctx, io.Discard, []string{}, "redis-server", "--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no")
	if err != nil {
		return nil, err
	}
	k := &keeper{url: "redis://" + addr, client: redis.NewClient(&redis.Options{Addr: addr, DialerRetries: 1}), process: p}
	s.redis = append(s.redis, k.client)
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		err := k.client.Ping(ctx).Err()
		switch {
		case err == nil:
			return k, nil
		case ctx.Err() != nil || time.Since(began) > 10*time.Second:
			return nil, fmt.Errorf("Redis does not answer: %w", err) //nolint:staticcheck // a name
		}
	}
}

// The client of the servers with sessions at their identity provider. Their sessions
// belong to it.
const (
	oidcClient = "bench"
	oidcSecret = "the-secret-of-the-bench"
	publicURL  = "http://127.0.0.1:8080"
)

// makeSessions signs in all users for the servers of recipeForSessions, after
// bystanders with a session and a Customer. It returns the users' cookies as header
// lines.
func (k *keeper) makeSessions(ctx context.Context, b backends, bystanders int) ([]string, error) {
	// Without limits: only the names matter. They need Redis, because names in memory
	// differ. A session with another name costs the servers a second round trip.
	limiter := ratelimit.New(ratelimit.Config{
		Redis: k.client, Secret: []byte(clientSecret), Now: time.Now, Registerer: prometheus.NewRegistry(),
	})
	store := sessionsOf(k.client, b, limiter)
	group, groupCtx := errgroup.WithContext(ctx)
	const signIns = 16 // at a time
	for part := range signIns {
		group.Go(func() error {
			for i := part; i < bystanders; i += signIns {
				if _, err := signIn(groupCtx, store, scratch.User(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // of signIn
	}
	var cookies []string
	for i := range users {
		id, err := signIn(ctx, store, userName(i))
		if err != nil {
			return nil, err
		}
		// For the other handler, which finds a user under the plain session id.
		if err := k.client.Set(ctx, bareSession(id), customerID(i), time.Hour).Err(); err != nil {
			return nil, fmt.Errorf("writing to Redis: %w", err)
		}
		cookies = append(cookies, "Cookie: "+sessionCookie+"="+id)
	}
	return cookies, nil
}

// sessionsOf is a store of sessions for the servers of recipeForSessions.
func sessionsOf(client *redis.Client, b backends, limiter *ratelimit.Limiter) *session.Redis {
	return session.NewRedis(session.RedisConfig{
		Client:     client,
		Limits:     session.Limits{Idle: time.Hour, Lifetime: 8 * time.Hour, Now: time.Now},
		Keys:       keyring.Of(clienttoken.NewSecret(oidcSecret)),
		Scope:      session.Scope{Issuer: b.Issuer, ClientID: oidcClient, UserClaim: "sub", Origin: publicURL},
		UserLimit:  limiter.UserKey,
		Logger:     zerolog.Nop(),
		Registerer: prometheus.NewRegistry(),
	})
}

// signIn returns the id of a new session.
func signIn(ctx context.Context, store *session.Redis, user string) (string, error) {
	id := session.NewID().Reveal()
	key, _ := session.KeyOf(id) // is one
	_, err := store.Start(ctx, key, session.Stored{
		User: clienttoken.User{ID: user, Claims: map[string]any{
			"iss": "https://idp.example.com", "sub": user, "name": "A User", "email": user + "@example.com", "email_verified": true,
		}},
		Subject: user,
		SID:     "sid-" + user,
		IDToken: clienttoken.NewSecret(strings.Repeat("x", 800)), // as long as one that is signed
	}, session.SignIn{Once: id, Began: time.Now()})
	if err != nil {
		return "", fmt.Errorf("making a session: %w", err)
	}
	return id, nil
}

// sessionCookie is the cookie's name for a PUBLIC_URL on this machine.
const sessionCookie = "dropgate-session"

func bareSession(id string) string { return "bench:" + id }
