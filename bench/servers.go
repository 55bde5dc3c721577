package main

import (
	"context"
	"fmt"
	"time"
)

// target is a process that vends client tokens.
type target struct {
	name        string
	addr        string   // of its client-tokens endpoint
	metrics     string   // the URL of mallocsMetric
	credentials []string // of the users, in their order, as lines of a header
	process     *process
	profiles    string // their address, in a build with profiles
}

// The targets' names in the tables.
const (
	theServer   = "dropgate"
	theDatabase = "dropgate with PostgreSQL"
	theProxy    = "bare ReverseProxy"
	theHandler  = "bare handler"
	theBearer   = "dropgate, bearer"
	theSession  = "dropgate, session"
	theLooker   = "bare handler with a Redis GET"
)

// recipe holds the settings of a server.
type recipe struct {
	name        string
	credentials []string
	env         []string
}

// bearer is a server for bearer tokens.
func (b *backends) recipeForBearer(name string, env ...string) recipe {
	return recipe{name, b.bearer, append(env,
		"AUTH_MODES=bearer",
		"AUTH_BEARER_ISSUER="+b.Issuer,
		"AUTH_BEARER_AUDIENCE="+audience,
	)}
}

// recipeForSessions is a server for sessions in a Redis.
func (b *backends) recipeForSessions(name string, cookies []string, env ...string) recipe {
	return recipe{name, cookies, append(env,
		"AUTH_MODES=oidc",
		"AUTH_OIDC_ISSUER="+b.Issuer,
		"AUTH_OIDC_CLIENT_ID="+oidcClient,
		"AUTH_OIDC_CLIENT_SECRET="+oidcSecret,
		"PUBLIC_URL="+publicURL,
		"SESSION_STORE=redis",
	)}
}

// startServer starts the real server with every feature on. It returns the time until
// its first client token.
func (s *stage) startServer(ctx context.Context, b backends, like recipe) (*target, time.Duration, error) { //nolint:revive // three belong together
	at, err := freePlaces(ctx)
	if err != nil {
		return nil, 0, err
	}
	return s.startServerAt(ctx, b, like, at)
}

// places are the addresses of a server's listeners.
type places struct{ public, admin, profiles string }

func freePlaces(ctx context.Context) (places, error) {
	var at places
	for _, addr := range []*string{&at.public, &at.admin, &at.profiles} {
		free, err := freeAddr(ctx)
		if err != nil {
			return at, err
		}
		*addr = free
	}
	return at, nil
}

// startServerAt is startServer at given addresses. The recipe's settings take
// precedence.
func (s *stage) startServerAt(ctx context.Context, b backends, like recipe, at places) (*target, time.Duration, error) { //nolint:revive // three belong together
	began := time.Now()
	p, err := s.start(ctx, s.logs, append([]string{
		"DWOLLA_ENVIRONMENT=sandbox",
		"DWOLLA_CLIENT_ID=" + clientID,
		"DWOLLA_CLIENT_SECRET=" + clientSecret,
		"DWOLLA_BASE_URL=" + b.Dwolla,
		"ALLOWED_ACTIONS=dwolla-customer-update,dwolla-personal-vcr,dwolla-document-upload,dwolla-beneficial-owners",
		"HTTP_ADDR=" + at.public,
		"ADMIN_ADDR=" + at.admin,
		"PPROF_ADDR=" + at.profiles,
		"SHUTDOWN_DELAY=0s",
		"RATE_LIMIT_USER=1000000/1s",
		"RATE_LIMIT_IP=1000000/1s",
		"RATE_LIMIT_CREATE=off",
	}, like.env...), s.server)
	if err != nil {
		return nil, 0, err
	}
	t := &target{like.name, at.public, "http://" + at.admin + "/metrics", like.credentials, p, at.profiles}
	for {
		err := t.once(ctx)
		took := time.Since(began)
		switch {
		case err == nil:
			return t, took, nil
		case ctx.Err() != nil || took > 10*time.Second:
			return nil, 0, fmt.Errorf("%s gives no client token: %w", like.name, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// startOften starts the server repeatedly and returns the time of each start.
func (s *stage) startOften(ctx context.Context, b backends, like recipe) ([]time.Duration, error) {
	var starts []time.Duration
	for range 5 {
		server, took, err := s.startServer(ctx, b, like)
		if err != nil {
			return nil, err
		}
		server.process.stop()
		starts = append(starts, took)
	}
	return starts, nil
}

// startBare starts one of the simpler servers.
func (s *stage) startBare(ctx context.Context, b backends, like recipe) (*target, error) {
	p, says, err := s.startRole(ctx, append(like.env, "-dwolla", b.Dwolla, "-access-token", b.accessToken)...)
	if err != nil {
		return nil, err
	}
	return &target{like.name, says.Target, "http://" + says.Target + "/metrics", like.credentials, p, ""}, nil
}

// startAll starts the servers, and then the bare ones with a role.
func (s *stage) startAll(ctx context.Context, b backends, servers, bare []recipe) ([]*target, error) {
	var targets []*target
	for _, like := range servers {
		t, _, err := s.startServer(ctx, b, like)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	for _, like := range bare {
		t, err := s.startBare(ctx, b, like)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}
