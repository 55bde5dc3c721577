package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/bench/scratch"
)

// amounts are what a load uses of each resource. CPU time is in microseconds.
type amounts [resources]float64

type resource int

const (
	replicaCPU resource = iota // of the replicas that get traffic
	balancerCPU
	poolerCPU
	postgresCPU   // of the server processes for the group's connections
	redisCPU      // of the whole process
	redisTrips    // batches of calls: EVALSHA
	redisCommands // all commands, also those inside scripts
	resources
)

// since returns the amounts used after before.
func (a amounts) since(before amounts) amounts {
	for i := range a {
		a[i] -= before[i]
	}
	return a
}

// perSecond divides by a time.
func (a amounts) perSecond(took time.Duration) amounts {
	for i := range a {
		a[i] /= took.Seconds()
	}
	return a
}

// perVend divides by the number of vends, after subtracting what all idle processes use
// in the same time. Only the CPU time of the replicas remains whole, because more
// replicas cost it.
func (a amounts) perVend(idle amounts, took time.Duration, vends int) amounts {
	for i := range a {
		if resource(i) != replicaCPU {
			a[i] -= idle[i] * took.Seconds()
		}
		a[i] /= float64(vends)
	}
	return a
}

// snapshot is the usage at one moment.
type snapshot struct {
	amounts

	backends map[int]time.Duration // CPU time of PostgreSQL's processes, by pid
}

// since returns the amounts used between two snapshots. A connection opened meanwhile
// counts from zero. One closed meanwhile is not counted.
func (s snapshot) since(before snapshot) amounts {
	used := s.amounts.since(before.amounts)
	for pid, now := range s.backends {
		used[postgresCPU] += microseconds(now - before.backends[pid])
	}
	return used
}

// meter reads what a group uses.
type meter struct {
	group    *replicaGroup
	replicas []*replica // those with traffic
	balancer *balancer
	redis    *keeper
}

// read takes a snapshot.
func (m meter) read(ctx context.Context) (snapshot, error) {
	now := snapshot{backends: map[int]time.Duration{}}
	processes := map[*process]resource{m.balancer.process: balancerCPU, m.redis.process: redisCPU}
	if m.group.pooler != nil {
		processes[m.group.pooler] = poolerCPU
	}
	for _, r := range m.replicas {
		processes[r.server.process] = replicaCPU
	}
	for p, as := range processes {
		spent, err := p.cpu()
		if err != nil {
			return now, err
		}
		now.amounts[as] += microseconds(spent)
	}
	connections, err := m.group.database.Connections(ctx)
	if err != nil {
		return now, err
	}
	for _, c := range connections {
		if spent, err := cpuOf(c.PID); err == nil { // else it has just closed
			now.backends[c.PID] = spent
		}
	}
	text, err := m.redis.client.InfoMap(ctx, "commandstats").Result()
	if err != nil {
		return now, fmt.Errorf("asking Redis for its statistics: %w", err)
	}
	now.amounts[redisTrips], now.amounts[redisCommands] = calls(text["Commandstats"])
	return now, nil
}

// calls reads the number of calls of EVALSHA and of all commands from Redis's
// statistics.
func calls(stats map[string]string) (trips, all float64) {
	for name, text := range stats {
		var n float64
		if _, err := fmt.Sscanf(text, "calls=%g,", &n); err != nil {
			continue
		}
		all += n
		if name == "cmdstat_evalsha" {
			trips = n
		}
	}
	return trips, all
}

var errElsewhere = errors.New("the PostgreSQL at TEST_POSTGRES_URL must run on this machine, because its CPU time is measured")

// onThisMachine checks that the processes of the database's connections are visible.
func onThisMachine(ctx context.Context, database *scratch.Database) error {
	connections, err := database.Connections(ctx)
	if err != nil {
		return err
	}
	for _, c := range connections {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.PID))
		if errors.Is(err, fs.ErrNotExist) || (err == nil && !strings.HasPrefix(string(name), "postgres")) {
			return errElsewhere
		}
		if err == nil {
			return nil
		}
	}
	return errElsewhere
}

// perReplica is what a replica holds.
type perReplica struct {
	memory              memory
	redisConnections    int
	postgresConnections int
}

// openConnections counts the connections of each replica to both stores.
func (g *replicaGroup) openConnections(ctx context.Context, stores *keeper) (map[string]perReplica, error) {
	held := map[string]perReplica{}
	connections, err := g.database.Connections(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range connections {
		h := held[c.Application]
		h.postgresConnections++
		held[c.Application] = h
	}
	list, err := stores.client.ClientList(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("listing Redis's clients: %w", err)
	}
	for name, n := range clientNames(list) {
		h := held[name]
		h.redisConnections = n
		held[name] = h
	}
	return held, nil
}

// clientNames counts the connections in Redis's list of clients by name.
func clientNames(list string) map[string]int {
	count := map[string]int{}
	for line := range strings.Lines(list) {
		for field := range strings.FieldsSeq(line) {
			if name, found := strings.CutPrefix(field, "name="); found {
				count[name]++
			}
		}
	}
	return count
}

// used returns the bytes that Redis has allocated for data.
func used(ctx context.Context, client *redis.Client) (float64, error) {
	text, err := client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("asking Redis for its memory: %w", err)
	}
	var n float64
	if _, err := fmt.Sscan(text["Memory"]["used_memory"], &n); err != nil {
		return 0, fmt.Errorf("reading Redis's memory: %w", err)
	}
	return n, nil
}
