package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// part is a group of targets, measured side by side at several loads.
type part struct {
	title       string
	targets     []*target
	connections []int         // keep-alive
	pause       time.Duration // of each caller before each call
	bases       []string
	table
}

// measure loads all targets in turn, once per round.
func (p *part) measure(ctx context.Context, s *stage, o options, progress io.Writer) error {
	for round := range o.rounds {
		for _, n := range p.connections {
			_, _ = fmt.Fprintf(progress, "%s, round %d of %d: %d connections\n", p.title, round+1, o.rounds, n)
			profiled := p.profile(ctx, o, n)
			cells, err := p.load(ctx, o, n)
			err = errors.Join(err, <-profiled)
			if err != nil {
				return fmt.Errorf("%d connections: %w", n, err)
			}
			p.add(cells)
			s.forgetLogs()
		}
	}
	return nil
}

// profile writes the servers' CPU profiles into o.profile while n connections load
// them. It closes the channel at the end.
func (p *part) profile(ctx context.Context, o options, n int) <-chan error {
	done := make(chan error, 1)
	if o.profile == "" || n != 64 {
		done <- nil
		return done
	}
	group, ctx := errgroup.WithContext(ctx)
	seen := map[string]bool{"": true} // a server may be several targets
	for _, t := range p.targets {
		if seen[t.profiles] {
			continue
		}
		seen[t.profiles] = true
		group.Go(func() error {
			all := o.duration * time.Duration(len(p.targets))
			text, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", t.profiles, all.Seconds()))
			if err != nil {
				return err
			}
			file := filepath.Join(o.profile, strings.ReplaceAll(p.title+"-"+t.name, ", ", "-")+".pb.gz")
			return os.WriteFile(file, []byte(text), 0o600) //nolint:gosec // where the user wants it
		})
	}
	go func() { done <- group.Wait() }()
	return done
}

// end stops the part's targets and frees their memory.
func (p *part) end() {
	for _, t := range p.targets {
		t.process.stop()
	}
}

// alone is the first part: one server without Redis.
func alone(ctx context.Context, s *stage, b backends, postgres string) (*part, error) {
	servers := []recipe{b.recipeForBearer(theServer, "CUSTOMER_SOURCE=claim")}
	if postgres != "" {
		settings, err := s.makeDirectory(ctx, postgres, 0)
		if err != nil {
			return nil, err
		}
		servers = append(servers, b.recipeForBearer(theDatabase, settings...))
	}
	targets, err := s.startAll(ctx, b, servers, []recipe{
		{theProxy, b.bearer, []string{"proxy"}},
		{theHandler, b.bearer, []string{"handler"}},
	})
	return &part{title: "alone", targets: targets, connections: []int{1, 16, 64}, bases: []string{theHandler}}, err
}

// shared is common to the targets of the second part.
type shared struct {
	redis *keeper
	env   []string // of a server that uses all of it
}

// share creates the stores, with the given number of bystanders in the directory. It
// returns nil without PostgreSQL or Redis.
func share(ctx context.Context, s *stage, postgres string, bystanders int) (*shared, error) {
	if postgres == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	redis, err := s.startRedis(ctx)
	if err != nil || redis == nil {
		return nil, err
	}
	env, err := s.makeDirectory(ctx, postgres, bystanders)
	if err != nil {
		return nil, err
	}
	return &shared{redis, append(env, "REDIS_URL="+redis.url)}, nil
}

// errNoStores reports missing stores.
var errNoStores = errors.New("TEST_POSTGRES_URL is not set, or redis-server is missing")

// together is the second part: replicas with limits and sessions in Redis and a
// directory in PostgreSQL.
func together(ctx context.Context, s *stage, b backends, with *shared) (*part, error) {
	cookies, err := with.redis.makeSessions(ctx, b, 0)
	if err != nil {
		return nil, err
	}
	targets, err := s.startAll(ctx, b, []recipe{
		b.recipeForBearer(theBearer, with.env...),
		b.recipeForSessions(theSession, cookies, with.env...),
	}, []recipe{
		{theHandler, b.bearer, []string{"handler"}},
		{theLooker, cookies, []string{"handler", "-redis", with.redis.url}},
	})
	return &part{title: "with Redis and PostgreSQL", targets: targets, connections: []int{1, 4, 16, 64, 256}, bases: []string{theHandler, theLooker}}, err
}

// slowDwolla is the latency of Dwolla in the third part.
const slowDwolla = 50 * time.Millisecond

// breath is the pause of its callers, about 1 300 calls a second in all. Two cores can
// keep up with 256 such callers.
const breath = 150 * time.Millisecond

// waiting is the third part: the same in front of a slow Dwolla.
func waiting(ctx context.Context, s *stage, b backends, with *shared) (*part, error) {
	p, err := together(ctx, s, b, with)
	if err != nil {
		return nil, err
	}
	p.title, p.connections, p.pause = "Dwolla takes "+slowDwolla.String()+", each caller pauses for "+breath.String(), []int{256}, breath
	return p, nil
}
