package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// cell is what was measured of one target at one number of connections, in all
// rounds together.
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

// percentile returns the smallest of the values that p percent are not above.
func percentile[T cmp.Ordered](values []T, p int) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// report is all that one run of the bench found.
type report struct {
	options options
	cells   []*cell // in the order of the first round
	starts  []time.Duration
	memory  memory // of the server, after the load
}

// add puts a round's cells to those of the rounds before.
func (r *report) add(cells []cell) {
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

func (r *report) cell(target string, connections int) *cell {
	i := slices.IndexFunc(r.cells, func(c *cell) bool { return c.target == target && c.connections == connections })
	if i < 0 {
		return nil
	}
	return r.cells[i]
}

// ratio is c's CPU time per request in those of another target at the same load:
// the median over the turns, each of which is compared with the other's own a
// moment before or after.
func (r *report) ratio(c *cell, other string) float64 {
	var ratios []float64
	for i, cpu := range r.cell(other, c.connections).cpu {
		ratios = append(ratios, float64(c.cpu[i])/float64(cpu))
	}
	return percentile(ratios, 50)
}

// extraMallocs is how many more allocations c's requests made than the bare
// handler's.
func (r *report) extraMallocs(c *cell) float64 {
	return c.mallocsPerRequest() - r.cell(theHandler, c.connections).mallocsPerRequest()
}

// print writes the report and returns whether all goals were reached.
func (r *report) print(out io.Writer) bool {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	line("%s, %s/%s, %d CPUs; %d rounds of %s after %s of warm-up; %d users;\n"+
		"the targets take turns of %s; the CPU times and their ratios are the medians of the turns; everything on 127.0.0.1.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), r.options.rounds, r.options.duration, r.options.warmup, users, turn)
	line("| connections | target | requests/s | p50 | p99 | CPU per request | × %[1]s | allocations per request | beyond %[1]s | requests | errors |", theHandler)
	line("| --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
	for _, c := range r.cells {
		line("| %d | %s | %.0f | %.2f ms | %.2f ms | %.1f µs | %.2f | %.1f | %+.1f | %d | 0 |", // an error would have ended the bench
			c.connections, c.target, c.perSecond(), milliseconds(percentile(c.latencies, 50)), milliseconds(percentile(c.latencies, 99)),
			microseconds(percentile(c.cpu, 50)), r.ratio(c, theHandler), c.mallocsPerRequest(), r.extraMallocs(c), len(c.latencies))
	}
	if r.options.postgres == "" {
		line("\n%s is left out: TEST_POSTGRES_URL is not set.", theDatabase)
	}
	line("\n%s: %.1f MiB resident after the load, %.1f MiB at most; from start to first 200: %.0f ms (median of %.0f).\n",
		theServer, mebibytes(r.memory.now), mebibytes(r.memory.peak), milliseconds(percentile(r.starts, 50)), all(r.starts))
	line("| goal | measured | |\n| --- | --: | --- |")
	reached := true
	for _, g := range r.goals() {
		verdict := "reached"
		if g.measured > g.most {
			verdict, reached = "**not reached**", false
		}
		line("| %s at most %g%s | %.4g%s | %s |", g.name, g.most, g.unit, g.measured, g.unit, verdict)
	}
	return reached
}

type goal struct {
	name           string
	measured, most float64
	unit           string
}

// goals are those of the service's second version.
func (r *report) goals() []goal {
	var goals []goal
	for _, n := range []int{16, 64} {
		at, c := fmt.Sprintf(" at %d connections", n), r.cell(theServer, n)
		goals = append(goals,
			goal{"CPU per request" + at, r.ratio(c, theHandler), 1.6, " × " + theHandler},
			goal{"allocations per request beyond the " + theHandler + at, r.extraMallocs(c), 60, ""})
		if c := r.cell(theDatabase, n); c != nil {
			goals = append(goals, goal{"CPU per request with the directory in PostgreSQL" + at, r.ratio(c, theServer), 1.1, " × with a claim"})
		}
	}
	return append(goals,
		goal{"resident memory", mebibytes(r.memory.now), 40, " MiB"},
		goal{"start to first 200", milliseconds(percentile(r.starts, 50)), 150, " ms"})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func mebibytes(kibibytes int) float64 { return float64(kibibytes) / 1024 }

// all returns the durations in milliseconds, for printing.
func all(durations []time.Duration) []float64 {
	var found []float64
	for _, d := range durations {
		found = append(found, milliseconds(d))
	}
	return found
}
