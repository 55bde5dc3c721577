// The bench command measures the cost of vending a client token. It loads the real
// server next to simpler servers, each in its own process, against the same emulator of
// Dwolla. It prints the CPU time per request of each and the goals. There are three
// parts: one server alone; servers with Redis and PostgreSQL; and the same servers in
// front of a slow Dwolla. With -many it compares a million known users with a thousand.
// With -against it compares the server of another git revision with this tree's. With
// -scale it measures replicas behind HAProxy.
//
// It uses its own schema in the PostgreSQL at TEST_POSTGRES_URL, and starts its own
// Redis. Without either, it skips the parts in need of it.
//
// It needs Linux (/proc), talks only to 127.0.0.1 and PostgreSQL, and removes
// everything at the end. Compare ratios of one run only, never numbers of different
// machines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Getenv("TEST_POSTGRES_URL"), os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	duration, warmup time.Duration
	rounds           int
	strict           bool
	plot, profile    string // file, or ""
	many             int    // 0: the whole bench
	against          string // a git revision, or ""
	scale            bool
	rate             int    // requests a second, for scale
	postgres         string // the URL of a server, or ""

	// For the processes started by the bench itself.
	role, dwolla, accessToken, redis string
	latency                          time.Duration
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.DurationVar(&o.duration, "duration", 5*time.Second, "how long each cell is measured, per round: 100ms to 1m")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "how long each cell is loaded before that: 100ms to 1m")
	flags.IntVar(&o.rounds, "rounds", 2, "how often all cells are measured: 1 to 20")
	flags.BoolVar(&o.strict, "strict", false, "fail when a goal is not reached")
	flags.StringVar(&o.plot, "plot", "", "a file to draw latency against load into, as SVG")
	flags.StringVar(&o.profile, "profile", "", "a folder for CPU profiles of the servers with Redis and PostgreSQL, at 64 connections")
	flags.IntVar(&o.many, "many", 0, "measure what a vend costs with so many users known, and nothing else: 0 or 1000 to 1000000")
	flags.StringVar(&o.against, "against", "", "a git revision: measure its server next to this tree's, and nothing else")
	flags.BoolVar(&o.scale, "scale", false, "measure 1, 2 and 3 replicas behind HAProxy, and nothing else")
	flags.IntVar(&o.rate, "rate", 300, "for -scale: requests a second, 30 to 1000")
	flags.StringVar(&o.role, "role", "", "for the bench itself: be backends, proxy or handler")
	flags.StringVar(&o.dwolla, "dwolla", "", "for the bench itself: the emulator's URL")
	flags.StringVar(&o.accessToken, "access-token", "", "for the bench itself: the application's access token")
	flags.StringVar(&o.redis, "redis", "", "for the bench itself: the URL of a Redis with sessions")
	flags.DurationVar(&o.latency, "latency", 0, "for the bench itself: how long the emulator takes")
	if err := flags.Parse(args); err != nil {
		return o, err //nolint:wrapcheck // says all: the flag and what is wrong with it
	}
	within := func(d time.Duration) bool { return 100*time.Millisecond <= d && d <= time.Minute }
	if flags.NArg() > 0 || (o.many != 0 && (o.many < few || o.many > 1_000_000)) || !within(o.duration) || !within(o.warmup) || o.rounds < 1 || o.rounds > 20 || o.rate < 30 || o.rate > 1000 {
		return o, errors.New("a flag is out of its bounds, or there is an argument; see -help")
	}
	return o, nil
}

func run(ctx context.Context, args []string, postgres string, out, progress io.Writer) error {
	o, err := parse(args)
	o.postgres = postgres
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case o.role != "":
		return play(ctx, o, out)
	}
	if o.scale {
		if err := scaleTools(o); err != nil {
			return err
		}
	}
	logging.Disable() // go-redis logs each attempt to reach a starting Redis
	var tags []string
	if o.profile != "" {
		tags = append(tags, "pprof")
	}
	s, err := newStage(ctx, tags...)
	if err != nil {
		return err
	}
	defer s.close()
	if o.many > 0 {
		return measureMany(ctx, s, o, out, progress)
	}
	if o.scale {
		return measureScale(ctx, s, o, out, progress)
	}
	if o.against != "" {
		return measureAgainst(ctx, s, o, out, progress)
	}
	return measureAll(ctx, s, o, out, progress)
}

// measureAll measures and prints the whole bench of one server.
func measureAll(ctx context.Context, s *stage, o options, out, progress io.Writer) error {
	r, err := measure(ctx, s, o, progress)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	reached := r.print(out)
	if err := r.draw(); err != nil {
		return err
	}
	if o.strict && !reached {
		return errors.New("a goal was not reached")
	}
	return nil
}

// measure runs the whole bench.
func measure(ctx context.Context, s *stage, o options, progress io.Writer) (*report, error) {
	b, err := s.startBackends(ctx, 0)
	if err != nil {
		return nil, err
	}
	r := &report{options: o}
	if r.starts, err = s.startOften(ctx, b, b.recipeForBearer(theServer, "CUSTOMER_SOURCE=claim")); err != nil {
		return nil, err
	}
	if r.alone, err = alone(ctx, s, b, o.postgres); err != nil {
		return nil, err
	}
	if err := r.alone.measure(ctx, s, o, progress); err != nil {
		return nil, err
	}
	if r.memory, err = r.alone.targets[0].process.memory(); err != nil {
		return nil, err
	}
	r.alone.end()
	with, err := share(ctx, s, o.postgres, 0)
	if err != nil || with == nil {
		return r, err
	}
	return r, r.measureShared(ctx, s, with, progress)
}

// measureShared runs the second and the third part.
func (r *report) measureShared(ctx context.Context, s *stage, with *shared, progress io.Writer) error {
	o := r.options
	b, err := s.startBackends(ctx, 0)
	if err != nil {
		return err
	}
	if r.sharedStarts, err = s.startOften(ctx, b, b.recipeForBearer(theBearer, with.env...)); err != nil {
		return err
	}
	if r.together, err = together(ctx, s, b, with); err != nil {
		return err
	}
	if err := r.together.measure(ctx, s, o, progress); err != nil {
		return err
	}
	for _, t := range r.together.targets[:2] {
		m, err := t.process.memory()
		if err != nil {
			return err
		}
		r.sharedMemory = max(r.sharedMemory, m.peak)
	}
	r.together.end()
	slow, err := s.startBackends(ctx, slowDwolla)
	if err != nil {
		return err
	}
	if r.waiting, err = waiting(ctx, s, slow, with); err != nil {
		return err
	}
	defer r.waiting.end()
	return r.waiting.measure(ctx, s, o, progress)
}
