//go:build faults && series

package faults_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// speed is how many seconds of a test of rules pass in a second of a run. The server
	// fetches the provider's keys every five minutes, and an alert fires after twelve, so
	// a faster run would fire it.
	speed = 2
	// step is the time between two samples in a test of rules.
	step = 15 * time.Second
	// length is that of a run, in the time of the test. It includes the end of the
	// windows of 30 minutes after a fault of four.
	length = 41 * time.Minute
)

// system is what a run watches.
type system struct {
	replicas   []*process // an end may replace one
	callers    []*caller
	every      time.Duration // between two requests of a caller; zero: a second
	begin, end func()        // of the fault
}

// seriesRun is a fault that raises alerts.
type seriesRun struct {
	name     string
	what     string // goes into the file
	from, to time.Duration
	hours    int // of invented healthy series afterwards
	prepare  func(t *testing.T, w *world) *system
}

// TestSeriesForAlerts writes the input series of deploy/prometheus/tests. It keeps the
// expectations in these files, which people have written: a run must not decide what is
// right.
func TestSeriesForAlerts(t *testing.T) {
	for _, name := range []string{"TEST_REDIS_URL", "TEST_POSTGRES_URL"} {
		if os.Getenv(name) == "" { // to skip a run would leave its old file
			t.Fatalf("%s is not set", name)
		}
	}
	revision := commit(t)
	for _, run := range seriesRuns() {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settings["LOG_LEVEL"] = "info"
			s := run.prepare(t, w)
			r := newRecording(t)
			run.record(t, s, r)
			r.write(t, run, revision)
		})
	}
}

// commit is the last one that changed the server.
func commit(t *testing.T) string {
	t.Helper()
	git := func(command ...string) string {
		code := []string{"--", ":/cmd/server", ":/internal", ":/go.mod"}
		printed, err := exec.CommandContext(t.Context(), "git", append(command, code...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(printed))
	}
	if changed := git("status", "--porcelain"); changed != "" {
		t.Fatalf("the server has changes that are not committed:\n%s", changed)
	}
	return git("log", "-1", "--format=%h")
}

// record lets the callers call and reads the metrics of all replicas at each step.
func (run seriesRun) record(t *testing.T, s *system, r *recording) {
	t.Helper()
	stop := s.call(t)
	defer stop()
	tick := time.NewTicker(step / speed)
	defer tick.Stop()
	for at := time.Duration(0); at <= length; at += step {
		if at == run.from {
			s.begin()
		}
		if at == run.to {
			s.end()
		}
		for i, p := range s.replicas {
			if p.running() {
				r.scrape(t, fmt.Sprintf("server-%d", i+1), p)
			}
		}
		r.steps++
		<-tick.C // the length of the run, not a wait
	}
}

// call starts the callers, each at its own moment.
func (s *system) call(t *testing.T) (stop func()) {
	t.Helper()
	every := s.every
	if every == 0 {
		every = time.Second
	}
	ctx, cancel := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	for i, c := range s.callers {
		calling.Go(func() {
			select {
			case <-time.After(time.Duration(i) * every / time.Duration(len(s.callers))):
			case <-ctx.Done():
				return
			}
			stop := repeat(every, func() { c.call(context.WithoutCancel(ctx)) })
			<-ctx.Done()
			stop()
		})
	}
	return func() {
		cancel()
		calling.Wait()
	}
}

// TestShortSeriesMeanTheSame writes series as promtool reads them: a+bxn has n+1 samples.
func TestShortSeriesMeanTheSame(t *testing.T) {
	t.Parallel()
	missing := math.NaN()
	for want, values := range map[string][]float64{
		"1x2":               {1, 1, 1},
		"0x1 90+90x2 275":   {0, 0, 90, 180, 270, 275},
		"3-1.5x2":           {3, 1.5, 0},
		"_x2 1 5":           {missing, missing, 1, 5},
		"1x1 stale _x1 1x2": {1, 1, missing, missing, 1, 1, 1},
		"7":                 {7},
	} {
		if got := shorten(values); got != want {
			t.Errorf("%v: %q, want %q", values, got, want)
		}
	}
}
