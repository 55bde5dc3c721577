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
	public, err := freeAddr(ctx)
	if err != nil {
		return nil, 0, err
	}
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, 0, err
	}
	profiles, err := freeAddr(ctx)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	p, err := s.start(ctx, s.logs, append(like.env,
		"DWOLLA_ENVIRONMENT=sandbox",
		"DWOLLA_CLIENT_ID="+clientID,
		"DWOLLA_CLIENT_SECRET="+clientSecret,
		"DWOLLA_BASE_URL="+b.Dwolla,
		"ALLOWED_ACTIONS=dwolla-customer-update,dwolla-personal-vcr,dwolla-document-upload,dwolla-beneficial-owners",
		"HTTP_ADDR="+public,
		"ADMIN_ADDR="+admin,
		"PPROF_ADDR="+profiles,
		"SHUTDOWN_DELAY=0s",
		"RATE_LIMIT_USER=1000000/1s",
		"RATE_LIMIT_IP=1000000/1s",
		"RATE_LIMIT_CREATE=off",
	), s.server)
	if err != nil {
		return nil, 0, err
	}
	t := &target{like.name, public, "http://" + admin + "/metrics", like.credentials, p, profiles}
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
