package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"dropgate/bench/scratch"
	"dropgate/internal/auth/session"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/ratelimit"
)

// The numbers of records for measuring their size.
const (
	sizedSessions = 20_000
	sizedLinks    = 100_000
)

// capacity is what the stores carry.
type capacity struct {
	busy                          []saturation
	bytesPerSession, bytesPerLink float64
}

// saturation is a Redis under as many calls as this machine can make.
type saturation struct {
	clients     int // with a connection and batches of their own, like replicas
	calls       int
	took, spent time.Duration // spent is Redis's CPU time
	batches     float64
}

// share is the part of one core that Redis used.
func (s saturation) share() float64 { return float64(s.spent) / float64(s.took) }

// full is the number of calls a second that a core of Redis carries.
func (s saturation) full() float64 { return float64(s.calls) / s.spent.Seconds() }

// perThousand is the percentage of a core that 1000 vends a second need.
func perThousand(microsecondsPerVend float64) float64 { return 1000 * microsecondsPerVend / 1e6 * 100 }

// measureStores runs the third part of the bench.
func (m *scaleBench) measureStores(ctx context.Context) (*capacity, error) {
	k, err := m.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	before, err := used(ctx, k.client)
	if err != nil {
		return nil, err
	}
	if _, err := k.makeSessions(ctx, m.backends, sizedSessions); err != nil {
		return nil, err
	}
	full, err := used(ctx, k.client)
	if err != nil {
		return nil, err
	}
	c := &capacity{bytesPerSession: (full - before) / (sizedSessions + users)}
	for _, clients := range []int{1, scaleReplicas} {
		s, err := m.saturate(ctx, k, clients)
		if err != nil {
			return nil, err
		}
		c.busy = append(c.busy, s)
	}
	c.bytesPerLink, err = m.sizeLinks(ctx)
	return c, err
}

// saturate finds sessions and charges limits like the servers, without anything else.
func (m *scaleBench) saturate(ctx context.Context, k *keeper, clients int) (saturation, error) {
	s := saturation{clients: clients}
	keys, err := m.sessionsIn(ctx, k)
	if err != nil {
		return s, err
	}
	const callers = 128 // in all
	before, err := k.busy(ctx)
	if err != nil {
		return s, err
	}
	began := time.Now()
	stop := after(m.options.duration)
	counts := make(chan int, callers)
	var group errgroup.Group
	for i := range clients {
		store, limits, end := m.sessionStore(k)
		defer end()
		for j := range callers / clients {
			group.Go(func() error {
				n, err := findSessions(ctx, stop, store, limits, keys[i*7+j:])
				counts <- n
				return err
			})
		}
	}
	err = group.Wait()
	s.took = time.Since(began)
	close(counts)
	for n := range counts {
		s.calls += n
	}
	if err != nil {
		return s, err //nolint:wrapcheck // of findSessions
	}
	now, err := k.busy(ctx)
	s.spent, s.batches = now.spent-before.spent, now.batches-before.batches
	return s, err
}

// busy is what a Redis has done so far.
type busy struct {
	spent   time.Duration // CPU time
	batches float64
}

func (k *keeper) busy(ctx context.Context) (b busy, err error) {
	if b.spent, err = k.process.cpu(); err != nil {
		return b, err
	}
	text, err := k.client.InfoMap(ctx, "commandstats").Result()
	if err != nil {
		return b, fmt.Errorf("asking Redis for its statistics: %w", err)
	}
	b.batches, _ = calls(text["Commandstats"])
	return b, nil
}

// findSessions asks for the first of the sessions until stop, and returns how often.
func findSessions(ctx context.Context, stop <-chan struct{}, store *session.Redis, limits *ratelimit.Limiter, keys []session.Key) (int, error) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return n, nil
		default:
		}
		charge := limits.Charge("192.0.2.1")
		if _, err := store.Find(ctx, keys[0], session.Extend, &charge); err != nil {
			return n, fmt.Errorf("finding a session: %w", err)
		}
	}
}

// sessionsIn signs users in and returns their sessions' keys.
func (m *scaleBench) sessionsIn(ctx context.Context, k *keeper) ([]session.Key, error) {
	store, _, end := m.sessionStore(k)
	defer end()
	var keys []session.Key
	for i := range users {
		id, err := signIn(ctx, store, userName(i))
		if err != nil {
			return nil, err
		}
		key, _ := session.KeyOf(id) // is one
		keys = append(keys, key)
	}
	return keys, nil
}

// sessionStore is the store of one replica, with its limits and its own connections.
func (m *scaleBench) sessionStore(k *keeper) (*session.Redis, *ratelimit.Limiter, func()) { //nolint:revive // three belong together
	client := redis.NewClient(k.client.Options())
	limit := ratelimit.Limit{N: 1_000_000, Window: time.Second}
	limits := ratelimit.New(ratelimit.Config{
		User: limit, IP: limit, Redis: client, Secret: []byte(clientSecret),
		Now: time.Now, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	return sessionsOf(client, m.backends, limits), limits, func() { _ = client.Close() }
}

// sizeLinks returns the bytes of a link in PostgreSQL, with its indexes.
func (m *scaleBench) sizeLinks(ctx context.Context) (float64, error) {
	database, err := scratch.NewDatabase(ctx, m.options.postgres)
	if err != nil {
		return 0, fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	m.databases = append(m.databases, database)
	links, err := customerdb.OpenPostgres(database.URL)
	if err != nil {
		return 0, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = links.Close() }()
	if err := links.Migrate(ctx); err != nil {
		return 0, fmt.Errorf("migrating: %w", err)
	}
	empty, err := database.Size(ctx)
	if err != nil {
		return 0, err
	}
	if err := linkBystanders(ctx, links, sizedLinks); err != nil {
		return 0, err
	}
	full, err := database.Size(ctx)
	return (full - empty) / sizedLinks, err
}

// print prints the third part.
func (c *capacity) print(out io.Writer, m *scaleBench) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("\nRedis, asked by the bench without servers, as fast as the machine can:\n")
	line("| clients | calls a second | Redis's share of a core | calls per batch | CPU per call | calls a second of a full core |")
	line("| --: | --: | --: | --: | --: | --: |")
	for _, s := range c.busy {
		line("| %d | %.0f | %.2f | %.0f | %.1f µs | %.0f |", s.clients, float64(s.calls)/s.took.Seconds(), s.share(),
			float64(s.calls)/s.batches, microseconds(s.spent)/float64(s.calls), s.full())
	}
	low, high := m.cell("3").perVend(redisCPU, m.idle), microseconds(c.busy[len(c.busy)-1].spent)/float64(c.busy[len(c.busy)-1].calls)
	line("\n1000 vends a second use %.1f %% of a core of Redis in batches as large as at saturation, and %.1f %% in those of\n"+
		"%d vends a second on three replicas.", perThousand(high), perThousand(low), m.options.rate)
	pg := m.cell(directGroup).perVend(postgresCPU, m.idle)
	line("1000 vends a second use %.1f %% of a core of PostgreSQL with `CUSTOMER_CACHE=0s`.", perThousand(pg))
	line("A session takes %.1f KB in Redis, a link %.0f bytes in PostgreSQL.", c.bytesPerSession/1000, c.bytesPerLink)
}
