package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

// The emulator accepts these credentials. The provider issues tokens for this audience.
const (
	clientID     = "bench-key"
	clientSecret = "bench-secret"
	audience     = "dropgate"
)

// users is the number of users who take turns, each with a Customer and a bearer token.
const users = 200

func userName(i int) string   { return fmt.Sprintf("user-%d", i) }
func customerID(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }

// play runs one role of a process that the bench started, until ctx ends. It prints its
// address to out.
func play(ctx context.Context, o options, out io.Writer) error {
	switch o.role {
	case "backends":
		return playBackends(ctx, o.latency, out)
	case "proxy":
		proxy, err := newProxy(o.dwolla, o.accessToken)
		if err != nil {
			return err
		}
		return playTarget(ctx, out, proxy)
	case "handler":
		return playHandler(ctx, o, out)
	default:
		return fmt.Errorf("%q is not a role", o.role)
	}
}

// addresses are printed by a role on its standard output.
type addresses struct {
	Dwolla string `json:"dwolla,omitempty"`
	Issuer string `json:"issuer,omitempty"`
	Target string `json:"target,omitempty"`
}

// playBackends runs the demo identity provider and the emulator of Dwolla, which delays
// each client token.
func playBackends(ctx context.Context, latency time.Duration, out io.Writer) error {
	dwolla := emulator.New(emulator.Options{ClientID: clientID, ClientSecret: clientSecret, AccessTokenLife: 24 * time.Hour})
	if latency > 0 {
		dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Latency: latency})
	}
	claims := map[string]map[string]any{}
	for i := range users {
		id := customerID(i)
		if _, err := dwolla.AddCustomer(emulator.Customer{ID: id, Type: "personal", Status: "verified"}); err != nil {
			return err
		}
		claims[userName(i)] = map[string]any{
			"name": "A User", "email": userName(i) + "@example.com", "dwolla_customer": id,
		}
	}
	var says addresses
	listener, err := listen(ctx)
	if err != nil {
		return err
	}
	says.Issuer = "http://" + listener.Addr().String()
	idp, err := provider.New(provider.Options{Issuer: says.Issuer, Audience: audience, Users: claims, Life: 24 * time.Hour})
	if err != nil {
		return err
	}
	idp.AddClient(provider.Client{ID: oidcClient, Secret: clienttoken.NewSecret(oidcSecret), RedirectURIs: []string{publicURL + "/auth/callback"}})
	serve(ctx, listener, idp)
	if listener, err = listen(ctx); err != nil {
		return err
	}
	says.Dwolla = "http://" + listener.Addr().String()
	serve(ctx, listener, dwolla)
	return say(ctx, out, says)
}

func playHandler(ctx context.Context, o options, out io.Writer) error {
	if o.redis == "" {
		return playTarget(ctx, out, newHandler(o.dwolla, o.accessToken, nil))
	}
	settings, err := redis.ParseURL(o.redis)
	if err != nil {
		return fmt.Errorf("reading the URL of the Redis: %w", err)
	}
	return playTarget(ctx, out, newHandler(o.dwolla, o.accessToken, redis.NewClient(settings)))
}

func playTarget(ctx context.Context, out io.Writer, h http.Handler) error {
	listener, err := listen(ctx)
	if err != nil {
		return err
	}
	serve(ctx, listener, h)
	return say(ctx, out, addresses{Target: listener.Addr().String()})
}

// say prints the address for the parent process, and waits for the end.
func say(ctx context.Context, out io.Writer, a addresses) error {
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return fmt.Errorf("saying where: %w", err)
	}
	<-ctx.Done()
	return nil
}

func listen(ctx context.Context) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return listener, nil
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, listener net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
}
