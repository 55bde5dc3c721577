package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// cell holds the measurements of one target at one number of connections, over all
// rounds.
type cell struct {
	target      string
	connections int
	took        time.Duration
	latencies   []time.Duration
	cpu         []time.Duration // of the target's process per request, in each turn
	mallocs     float64
}

func (c *cell) perSecond() float64 { return float64(len(c.latencies)) / c.took.Seconds() }

func (c *cell) mallocsPerRequest() float64 { return c.mallocs / float64(len(c.latencies)) }

// percentile returns the p-th percentile by nearest rank.
func percentile[T cmp.Ordered](values []T, p int) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// table holds the cells of one part, in the order of its first round.
type table struct{ cells []*cell }

// add merges the cells of a round into those of earlier rounds.
func (r *table) add(cells []cell) {
	for _, c := range cells {
		old := r.cell(c.target, c.connections)
		if old == nil {
			r.cells = append(r.cells, &c)
			continue
		}
		old.took += c.took
		old.latencies = append(old.latencies, c.latencies...)
		old.cpu = append(old.cpu, c.cpu...)
		old.mallocs += c.mallocs
	}
}

func (r *table) cell(target string, connections int) *cell {
	i := slices.IndexFunc(r.cells, func(c *cell) bool { return c.target == target && c.connections == connections })
	if i < 0 {
		return nil
	}
	return r.cells[i]
}

// ratio is c's CPU time per request divided by another target's at the same load: the
// median over pairs of neighboring turns.
func (r *table) ratio(c *cell, other string) float64 {
	var ratios []float64
	for i, cpu := range r.cell(other, c.connections).cpu {
		ratios = append(ratios, float64(c.cpu[i])/float64(cpu))
	}
	return percentile(ratios, 50)
}

// slower is c's p99 minus another target's, at the same load.
func (r *table) slower(c *cell, other string) time.Duration {
	return percentile(c.latencies, 99) - percentile(r.cell(other, c.connections).latencies, 99)
}

// extraMallocs is c's allocations per request minus the bare handler's.
func (r *table) extraMallocs(c *cell) float64 {
	return c.mallocsPerRequest() - r.cell(theHandler, c.connections).mallocsPerRequest()
}

// print prints the table of a part.
func (p *part) print(line func(string, ...any)) {
	head, rule := "", ""
	for _, base := range p.bases {
		head += fmt.Sprintf(" CPU × %[1]s | p99 × %[1]s |", base)
		rule += " --: | --: |"
	}
	line("\n%s:\n\n| connections | target | requests/s | p50 | p99 | CPU per request |%s allocations per request | requests | errors |", p.title, head)
	line("| --: | --- | --: | --: | --: | --: |%s --: | --: | --: |", rule)
	for _, c := range p.cells {
		var ratios strings.Builder
		for _, base := range p.bases {
			_, _ = fmt.Fprintf(&ratios, " %.2f | %.2f |", p.ratio(c, base),
				float64(percentile(c.latencies, 99))/float64(percentile(p.cell(base, c.connections).latencies, 99)))
		}
		line("| %d | %s | %.0f | %.2f ms | %.2f ms | %.1f µs |%s %.1f | %d | 0 |", // errors end the bench
			c.connections, c.target, c.perSecond(), milliseconds(percentile(c.latencies, 50)), milliseconds(percentile(c.latencies, 99)),
			microseconds(percentile(c.cpu, 50)), &ratios, c.mallocsPerRequest(), len(c.latencies))
	}
}

// report holds all results of one run. Without PostgreSQL or Redis it has only the
// first part.
type report struct {
	options                  options
	alone, together, waiting *part
	starts, sharedStarts     []time.Duration
	memory                   memory // of the server, after the first part
	sharedMemory             int    // KiB: the most that a server had in the second part
}

// print prints the report and reports whether it met all goals.
func (r *report) print(out io.Writer) bool {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("%s, %s/%s, %d CPUs; %d rounds of %s after %s of warm-up; %d users;\n"+
		"the targets take turns of %s; the CPU times and their ratios are the medians of the turns; everything on 127.0.0.1.",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), r.options.rounds, r.options.duration, r.options.warmup, users, turn)
	r.alone.print(line)
	line("\n%s: %.1f MiB resident after the load, %.1f MiB at most; from start to first 200: %.0f ms (median of %.0f).",
		theServer, mebibytes(r.memory.now), mebibytes(r.memory.peak), milliseconds(percentile(r.starts, 50)), all(r.starts))
	goals := r.goals()
	if r.together == nil {
		line("\nSkipped: the cost of PostgreSQL and Redis, because TEST_POSTGRES_URL is not set or redis-server is missing.")
	} else {
		r.together.print(line)
		r.waiting.print(line)
		goals = append(goals, r.sharedGoals()...)
	}
	line("\n| goal | measured | |\n| --- | --: | --- |")
	reached := true
	for _, g := range goals {
		verdict := "reached"
		if g.measured > g.most {
			verdict, reached = "**not reached**", false
		}
		line("| %s at most %g%s | %.4g%s | %s |", g.name, g.most, g.unit, g.measured, g.unit, verdict)
	}
	return reached
}

// draw writes the plot of the second part.
func (r *report) draw() error {
	if r.options.plot == "" || r.together == nil {
		return nil
	}
	return os.WriteFile(r.options.plot, r.together.plot(), 0o644) //nolint:gosec,wrapcheck // for all to read, where the user wants it; names the file
}

type goal struct {
	name           string
	measured, most float64
	unit           string
}

// goals are those of the first part.
func (r *report) goals() []goal {
	var goals []goal
	for _, n := range []int{16, 64} {
		at, c := fmt.Sprintf(" at %d connections", n), r.alone.cell(theServer, n)
		goals = append(goals,
			goal{"CPU per request" + at, r.alone.ratio(c, theHandler), 1.6, " × " + theHandler},
			goal{"allocations per request beyond the " + theHandler + at, r.alone.extraMallocs(c), 60, ""})
		if c := r.alone.cell(theDatabase, n); c != nil {
			goals = append(goals, goal{"CPU per request with the directory in PostgreSQL" + at, r.alone.ratio(c, theServer), 1.1, " × with a claim"})
		}
	}
	return append(goals,
		goal{"resident memory", mebibytes(r.memory.now), 40, " MiB"},
		goal{"start to first 200", milliseconds(percentile(r.starts, 50)), 150, " ms"})
}

// sharedGoals are those of the second and the third part.
func (r *report) sharedGoals() []goal {
	bearer, session := r.together.cell(theBearer, 64), r.together.cell(theSession, 64)
	return []goal{
		{theBearer + ", 64 connections: CPU per request", r.together.ratio(bearer, theHandler), 1.3, " × " + theHandler},
		{theSession + ", 64 connections: CPU per request", r.together.ratio(session, theLooker), 1.4, " × " + theLooker},
		{theBearer + ", " + r.waiting.title + ", 256 connections: p99", milliseconds(r.waiting.slower(r.waiting.cell(theBearer, 256), theHandler)), 5, " ms more than " + theHandler},
		{theSession + ", " + r.waiting.title + ", 256 connections: p99", milliseconds(r.waiting.slower(r.waiting.cell(theSession, 256), theHandler)), 5, " ms more than " + theHandler},
		{"peak of resident memory with 256 connections", mebibytes(r.sharedMemory), 64, " MiB"},
		{"start to first 200 with Redis and PostgreSQL", milliseconds(percentile(r.sharedStarts, 50)), 150, " ms"},
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func mebibytes(kibibytes int) float64 { return float64(kibibytes) / 1024 }

// all formats durations in milliseconds.
func all(durations []time.Duration) []float64 {
	var found []float64
	for _, d := range durations {
		found = append(found, milliseconds(d))
	}
	return found
}
