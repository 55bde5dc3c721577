package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// scaleReplicas is the number of replicas in each group.
const scaleReplicas = 3

// scaleTurn is the time under load before the next cell's turn.
const scaleTurn = 2 * time.Second

// settle is the time until PostgreSQL has counted the transactions of idle connections.
const settle = 11 * time.Second

// scaleBench measures replicas that share Redis and PostgreSQL behind HAProxy.
type scaleBench struct {
	*stage

	backends backends
	options  options
	progress io.Writer
	redis    *keeper
	cookies  []string
	balancer *balancer
	groups   []*replicaGroup
	cells    []*scaleCell
	idle     amounts // a second, with all groups
	counts   map[*replicaGroup]*transactions
	held     map[string]perReplica
}

// transactions are those of one group's database.
type transactions struct {
	idle, busy float64 // in the idle window, and under load
	took       time.Duration
	vends      int

	connections int // of all replicas, at the end
}

// perVend subtracts what idle replicas cause in the same time.
func (t transactions) perVend() float64 {
	return (t.busy - t.idle/idleWindow.Seconds()*t.took.Seconds()) / float64(t.vends)
}

// idleWindow is how long idle processes are observed.
const idleWindow = 12 * time.Second

// scaleTools checks the programs that the run needs, before it starts anything.
func scaleTools(o options) error {
	_, balancerErr := findProgram("haproxy", haproxyPath)
	_, poolerErr := findProgram("pgbouncer", pgbouncerPath)
	_, redisErr := findProgram("redis-server", "redis-server")
	var urlErr error
	if o.postgres == "" {
		urlErr = errors.New("-scale needs TEST_POSTGRES_URL, a server on this machine with a user who may create databases")
	}
	return errors.Join(balancerErr, poolerErr, redisErr, urlErr)
}

// measureScale runs the whole bench of replicas.
func measureScale(ctx context.Context, s *stage, o options, out, progress io.Writer) error {
	m := &scaleBench{stage: s, options: o, progress: progress, counts: map[*replicaGroup]*transactions{}}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	if err := m.measure(ctx); err != nil {
		return err
	}
	m.print(out)
	for _, g := range m.groups {
		for _, r := range g.replicas {
			r.server.process.stop()
		}
	}
	m.balancer.process.stop()
	d, err := m.disrupt(ctx)
	if err != nil {
		return err
	}
	kept := d.print(out)
	_, _ = fmt.Fprintln(progress, "Redis alone, and bytes in the stores")
	c, err := m.measureStores(ctx)
	if err != nil {
		return err
	}
	c.print(out, m)
	if !kept {
		return errors.New("a promise was broken")
	}
	return nil
}

// The groups of replicas. Each has a database of its own.
const (
	cachedGroup = "cached"
	directGroup = "uncached"
	pooledGroup = "pooled"
)

// prepare starts everything.
func (m *scaleBench) prepare(ctx context.Context) (err error) {
	if m.backends, err = m.startBackends(ctx, slowDwolla); err != nil {
		return err
	}
	if m.redis, err = m.startRedis(ctx); err != nil {
		return err
	}
	if m.cookies, err = m.redis.makeSessions(ctx, m.backends, 0); err != nil {
		return err
	}
	fronts, err := m.startGroups(ctx)
	if err != nil {
		return err
	}
	for n := 1; n < scaleReplicas; n++ {
		fronts = append(fronts, front{name: fmt.Sprintf("%s-first-%d", cachedGroup, n), replicas: m.groups[0].replicas[:n], retryOn: "conn-failure"})
	}
	if m.balancer, err = m.startBalancer(ctx, fronts); err != nil {
		return err
	}
	for _, g := range m.groups {
		for _, r := range g.replicas {
			if err := m.balancer.await(ctx, r.name, "UP"); err != nil {
				return err
			}
		}
	}
	m.cells = m.plan(fronts)
	return nil
}

// startGroups starts three replicas for each kind of directory. It returns a front for
// each group.
func (m *scaleBench) startGroups(ctx context.Context) ([]front, error) {
	var fronts []front
	for _, g := range []struct{ name, cache string }{{cachedGroup, "5m"}, {directGroup, "0s"}, {pooledGroup, "0s"}} {
		group, err := m.newGroup(ctx, g.name, scaleReplicas, m.recipe("CUSTOMER_CACHE="+g.cache), m.options)
		if err != nil {
			return nil, err
		}
		if g.name == pooledGroup {
			if err := group.behindPooler(ctx, m.stage); err != nil {
				return nil, err
			}
		}
		if err := group.startAll(ctx, m.stage, m.backends, scaleReplicas); err != nil {
			return nil, err
		}
		m.groups, m.counts[group] = append(m.groups, group), &transactions{}
		fronts = append(fronts, front{name: g.name, replicas: group.replicas, retryOn: "conn-failure"})
	}
	return fronts, onThisMachine(ctx, m.groups[0].database)
}

// recipe is a server for all users. The settings come last.
func (m *scaleBench) recipe(env ...string) recipe {
	like := m.backends.recipeForSessions("", mixedUsers(m.backends, m.cookies),
		"AUTH_BEARER_ISSUER="+m.backends.Issuer, "AUTH_BEARER_AUDIENCE="+audience, "REDIS_URL="+m.redis.url)
	like.env = append(append(like.env, "AUTH_MODES=bearer,oidc"), env...)
	return like
}

// The names of cells with another cell's settings.
const (
	again       = "1, again"
	sameForEach = "the same for each"
)

// plan lists the cells: 1, 2 and 3 replicas with the same load in all; 1 and 2 with the
// load that each of three replicas has; and three without a cache.
func (m *scaleBench) plan(fronts []front) []*scaleCell {
	cached, rate := m.groups[0], m.options.rate
	cell := func(name string, group *replicaGroup, replicas, rate, at int) *scaleCell {
		load := offered{fronts[at].addr, requestsTo(fronts[at].addr, group.like.credentials), rate}
		return &scaleCell{name: name, load: load, meter: meter{group, group.replicas[:replicas], m.balancer, m.redis}}
	}
	return []*scaleCell{
		cell("1", cached, 1, rate, 3), cell(again, cached, 1, rate, 3), cell("2", cached, 2, rate, 4), cell("3", cached, 3, rate, 0),
		cell("1, "+sameForEach, cached, 1, rate/3, 3), cell("2, "+sameForEach, cached, 2, rate/3*2, 4),
		cell(directGroup, m.groups[1], 3, rate, 1), cell(pooledGroup, m.groups[2], 3, rate, 2),
	}
}

// measure warms all cells up, observes idle processes, and loads the cells in turn.
func (m *scaleBench) measure(ctx context.Context) error {
	for _, c := range m.cells {
		if err := c.take(ctx, m.options.warmup); err != nil {
			return err
		}
		c.answers, c.turns = nil, nil
	}
	_, _ = fmt.Fprintln(m.progress, "idle replicas")
	if err := m.observeIdle(ctx); err != nil {
		return err
	}
	began := time.Now()
	for round := range m.options.rounds {
		_, _ = fmt.Fprintf(m.progress, "replicas, round %d of %d\n", round+1, m.options.rounds)
		for left := m.options.duration; left > 0; left -= scaleTurn {
			order := rand.Perm(len(m.cells)) //nolint:gosec // not a secret
			for _, i := range order {
				if err := m.cells[i].take(ctx, min(left, scaleTurn)); err != nil {
					return err
				}
			}
			m.forgetLogs()
		}
	}
	return m.count(ctx, began)
}

// observeIdle measures what all processes use without any load.
func (m *scaleBench) observeIdle(ctx context.Context) error {
	if err := pauseFor(ctx, settle); err != nil {
		return err
	}
	before, err := m.observe(ctx)
	if err != nil {
		return err
	}
	if err := pauseFor(ctx, idleWindow); err != nil {
		return err
	}
	after, err := m.observe(ctx)
	if err != nil {
		return err
	}
	m.idle = after.since(before.snapshot).perSecond(idleWindow)
	for g, n := range after.transactions {
		m.counts[g].idle = n - before.transactions[g]
		m.counts[g].busy = -n
	}
	return nil
}

// observation is what the first group has used, and the transactions of all groups.
type observation struct {
	snapshot

	transactions map[*replicaGroup]float64
}

func (m *scaleBench) observe(ctx context.Context) (o observation, err error) {
	g := m.groups[0]
	if o.snapshot, err = (meter{g, g.replicas, m.balancer, m.redis}).read(ctx); err != nil {
		return o, err
	}
	o.transactions, err = m.transactionsOfAll(ctx)
	return o, err
}

func (m *scaleBench) transactionsOfAll(ctx context.Context) (map[*replicaGroup]float64, error) {
	all := map[*replicaGroup]float64{}
	for _, g := range m.groups {
		n, err := g.database.Transactions(ctx)
		if err != nil {
			return nil, err
		}
		all[g] = n
	}
	return all, nil
}

// count reads the numbers of transactions, and what each replica holds.
func (m *scaleBench) count(ctx context.Context, began time.Time) error {
	took := time.Since(began)
	held, err := m.groups[0].openConnections(ctx, m.redis)
	if err != nil {
		return err
	}
	m.held = held
	for _, r := range m.groups[0].replicas {
		h := held[r.name]
		if h.memory, err = r.server.process.memory(); err != nil {
			return err
		}
		held[r.name] = h
	}
	for _, g := range m.groups {
		connections, err := g.database.Connections(ctx)
		if err != nil {
			return err
		}
		m.counts[g].connections = len(connections)
	}
	return m.countTransactions(ctx, took)
}

func (m *scaleBench) countTransactions(ctx context.Context, took time.Duration) error {
	if err := pauseFor(ctx, settle); err != nil {
		return err
	}
	all, err := m.transactionsOfAll(ctx)
	if err != nil {
		return err
	}
	for g, n := range all {
		t := m.counts[g]
		t.busy, t.took = t.busy+n, took+settle
		for _, c := range m.cells {
			if c.meter.group == g {
				t.vends += len(c.answers)
			}
		}
	}
	return nil
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errors.New("interrupted")
	case <-time.After(d):
		return nil
	}
}
