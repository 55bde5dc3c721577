package main

import (
	"fmt"
	"io"
	"runtime"
)

// cell returns the cell with a name.
func (m *scaleBench) cell(name string) *scaleCell {
	for _, c := range m.cells {
		if c.name == name {
			return c
		}
	}
	return nil
}

// print prints the tables of the first part.
func (m *scaleBench) print(out io.Writer) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("%s, %s/%s, %d CPUs; %d rounds of %s; the cells take turns of %s. HAProxy, replicas, Redis, PostgreSQL, the load\n"+
		"and the emulated Dwolla (%s for each token) share the machine: read the ratios.",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), m.options.rounds, m.options.duration, scaleTurn, slowDwolla)
	line("\n%d vends a second in all:\n", m.options.rate)
	m.printCells(line, m.cell("1"), []string{"1", again, "2", "3"})
	line("\n%d vends a second for each replica:\n", m.options.rate/scaleReplicas)
	m.printCells(line, m.cell("1, "+sameForEach), []string{"1, " + sameForEach, "2, " + sameForEach, "3"})
	m.printDirectory(line)
	m.printReplicas(line)
}

func (m *scaleBench) printCells(line func(string, ...any), base *scaleCell, names []string) {
	line("| replicas | CPU per vend | ratio | p50 | ratio | p99 | ratio | Redis: batches per vend | commands | CPU | HAProxy: CPU | busiest replica | vends |")
	line("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
	for _, name := range names {
		c := m.cell(name)
		d := delays(c.answers)
		line("| %s | %.0f µs | %.2f | %.1f ms | %.2f | %.1f ms | %.2f | %.2f | %.1f | %.0f µs | %.0f µs | %.0f %% | %d |", name,
			c.perVend(replicaCPU, m.idle), c.cpuRatio(base),
			milliseconds(percentile(d, 50)), c.delayRatio(base, 50), milliseconds(percentile(d, 99)), c.delayRatio(base, 99),
			c.perVend(redisTrips, m.idle), c.perVend(redisCommands, m.idle), c.perVend(redisCPU, m.idle),
			c.perVend(balancerCPU, m.idle), 100*busiest(c.answers), len(c.answers))
	}
}

func (m *scaleBench) printDirectory(line func(string, ...any)) {
	line("\nPostgreSQL, with three replicas:\n")
	line("| directory | CPU per vend | ratio | PostgreSQL: transactions per vend | CPU | PgBouncer: CPU | connections of all replicas | p99 ratio |")
	line("| --- | --: | --: | --: | --: | --: | --: | --: |")
	base := m.cell("3")
	for i, row := range []struct{ title, cell string }{
		{"`CUSTOMER_CACHE=5m`", "3"},
		{"`CUSTOMER_CACHE=0s`", directGroup},
		{"the same through PgBouncer", pooledGroup},
	} {
		c, counted := m.cell(row.cell), m.counts[m.groups[i]]
		line("| %s | %.0f µs | %.2f | %.2f | %.0f µs | %.0f µs | %d | %.2f |", row.title,
			c.perVend(replicaCPU, m.idle), c.cpuRatio(base), counted.perVend(),
			c.perVend(postgresCPU, m.idle), c.perVend(poolerCPU, m.idle), counted.connections, c.delayRatio(base, 99))
	}
}

func (m *scaleBench) printReplicas(line func(string, ...any)) {
	line("\nEach replica with `CUSTOMER_CACHE=5m`:\n")
	line("| replica | resident memory | peak | connections to Redis | to PostgreSQL |")
	line("| --: | --: | --: | --: | --: |")
	g := m.groups[0]
	for i, r := range g.replicas {
		h := m.held[r.name]
		line("| %d | %.0f MiB | %.0f MiB | %d | %d |", i+1, mebibytes(h.memory.now), mebibytes(h.memory.peak), h.redisConnections, h.postgresConnections)
	}
	each, all := float64(len(g.replicas)), float64(len(g.replicas)*len(m.groups))
	line("\nAn idle replica uses %.1f ms of CPU time, %.1f Redis commands and %.1f transactions a second.",
		m.idle[replicaCPU]/1000/each, m.idle[redisCommands]/all, m.counts[g].idle/idleWindow.Seconds()/each)
}
