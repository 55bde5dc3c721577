package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
)

// puppet is a Redis hook with a chosen state.
type puppet struct {
	state atomic.Int32
	asked atomic.Int32
}

const (
	well int32 = iota
	down
	silent // it answers nothing until it is given up
)

func (*puppet) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*puppet) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p *puppet) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		p.asked.Add(1)
		var err error
		switch p.state.Load() {
		case down:
			err = errors.New("refused")
		case silent:
			<-ctx.Done()
			err = ctx.Err()
		}
		cmd.SetErr(err)
		return err
	}
}

// onRedis returns a service with its sessions in a Redis behind p.
func onRedis(t *testing.T, p *puppet, logs *bytes.Buffer) *App {
	t.Helper()
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		t.Fatal(err)
	}
	registry, issuer := prometheus.NewRegistry(), "https://id.example.com"
	oidc := auth.NewOIDC(auth.OIDCConfig{
		Issuer: issuer, ClientID: "web", ClientSecret: clienttoken.NewSecret("secret"), UserClaim: "sub", Origin: "https://app.example.com",
		Keys: auth.NewKeySet(auth.KeySetConfig{Issuer: issuer, Registerer: registry}), Registerer: registry,
	})
	a := &App{
		config: Config{SessionStore: "redis"}, log: zerolog.New(logs), signIn: signIn{oidc: oidc},
		redis:  redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}),
		dwolla: dwolla.New(dwolla.Config{API: api, ClientID: "key", Timeout: time.Second, MaxConcurrent: 1, Registerer: prometheus.NewRegistry()}),
	}
	a.redis.AddHook(p)
	t.Cleanup(func() { _ = a.redis.Close() })
	t.Cleanup(a.dwolla.Close)
	return a
}

// whatIsMissing lists the dependencies that readiness names.
func (a *App) whatIsMissing(ctx context.Context) (what []string) {
	for _, m := range a.ready(ctx).Missing {
		what = append(what, m.What)
	}
	return what
}

// TestDependenciesAreCheckedConcurrently: a slow one must not use up the time of
// the others.
func TestDependenciesAreCheckedConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var asked sync.WaitGroup
		var all []dependency
		for i := range 3 {
			asked.Add(1)
			all = append(all, dependency{fmt.Sprint(i), "", func(ctx context.Context) error {
				asked.Done()
				together := make(chan struct{})
				go func() { asked.Wait(); close(together) }()
				select {
				case <-together:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}})
		}
		all = append(all, dependency{"away", "redis", func(context.Context) error { return errors.New("why") }})
		missing := outages(ctx, all)
		if len(missing) != 1 || missing[0].What != "away" || missing[0].Reason != "redis: not usable" {
			t.Errorf("missing: %v", missing)
		}
	})
}

func TestReadinessNamesOwnDependenciesFirst(t *testing.T) {
	var logs bytes.Buffer
	p := &puppet{}
	a := onRedis(t, p, &logs)
	if r := a.ready(t.Context()); r.Reason != "" || len(r.Missing) != 0 {
		t.Errorf("with all: %+v", r)
	}
	p.state.Store(down)
	if r := a.ready(t.Context()); r.Reason != "session store: redis: not usable" {
		t.Errorf("without Redis: %+v", r)
	}
	var err error
	if a.store, err = customerdb.OpenPostgres(clienttoken.NewSecret("postgres://user@127.0.0.1:1/none?sslmode=disable")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.store.Close() })
	both := []string{"database", "session store"}
	if r := a.ready(t.Context()); !strings.HasPrefix(r.Reason, "database: ") || !slices.Equal(a.whatIsMissing(t.Context()), both) {
		t.Errorf("without both: %+v", r)
	}
	a.draining.Store(true)
	if r := a.ready(t.Context()); r.Reason != "draining" || !slices.Equal(a.whatIsMissing(t.Context()), both) {
		t.Errorf("draining: %+v", r)
	}
}

// TestRedisWithoutSessionsDoesNotAffectReadiness: rate limits also work without
// Redis, and bearer tokens need no session.
func TestRedisWithoutSessionsDoesNotAffectReadiness(t *testing.T) {
	for name, change := range map[string]func(*App){
		"only for the rate limits":       func(a *App) { a.config.SessionStore = "memory" },
		"no sign-in with OpenID Connect": func(a *App) { a.signIn.oidc = nil },
	} {
		var logs bytes.Buffer
		p := &puppet{}
		p.state.Store(down)
		a := onRedis(t, p, &logs)
		change(a)
		if r := a.ready(t.Context()); r.Reason != "" || len(r.Missing) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestOutageAndRecoveryAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		p := &puppet{}
		a := onRedis(t, p, &logs)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { a.watch(ctx); close(ended) }()
		const missing, found = `"missing":"session store"`, `"found":"session store"`
		for i, c := range []struct {
			state int32
			want  [2]int // lines in all: one for each reason of an outage
		}{{well, [2]int{0, 0}}, {down, [2]int{1, 0}}, {well, [2]int{1, 1}}, {silent, [2]int{2, 1}}, {down, [2]int{3, 1}}, {well, [2]int{3, 2}}} {
			p.state.Store(c.state)
			time.Sleep(steady * (watchEvery + watchWithin)) // of the bubble's time
			synctest.Wait()
			text := logs.String()
			if got := [2]int{strings.Count(text, missing), strings.Count(text, found)}; got != c.want {
				t.Errorf("after change %d: %d lines of outages and %d of recoveries, want %v:\n%s", i, got[0], got[1], c.want, text)
			}
			time.Sleep(time.Minute) // of the bubble's time
			synctest.Wait()
			if again := logs.String(); again != text {
				t.Errorf("a minute after change %d the log has more: %s", i, again)
			}
		}
		before := logs.String()
		p.state.Store(silent)
		asked := p.asked.Load()
		for range 2 * watchEvery / time.Millisecond {
			if p.asked.Load() == asked {
				time.Sleep(time.Millisecond) // of the bubble's time
			}
		}
		cancel()
		<-ended
		if after := logs.String(); after != before {
			t.Errorf("the end of the service was logged as an outage: %s", after)
		}
	})
}
