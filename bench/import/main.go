// The import command of the bench measures the import of a million links into
// PostgreSQL: a dry run, the import, and the same import again without changes. It
// prints the time of each and the peak memory of the process.
//
// It works in its own schema on the server at TEST_POSTGRES_URL, and drops it at the
// end. Never compare numbers of different machines.
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

	"dropgate/bench/scratch"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Getenv("TEST_POSTGRES_URL"), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench/import:", err)
		os.Exit(1)
	}
}

// The goals for a million rows on two cores.
const (
	goalTime   = time.Minute
	goalMemory = 100 << 20
)

func run(ctx context.Context, args []string, server string, out io.Writer) error {
	flags := flag.NewFlagSet("bench/import", flag.ContinueOnError)
	rows := flags.Int("rows", 1_000_000, "how many links are imported")
	strict := flags.Bool("strict", false, "fail when a goal is not reached")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err //nolint:wrapcheck // says all: the flag and what is wrong with it
	}
	if server == "" {
		return errors.New("TEST_POSTGRES_URL is not set")
	}
	schema, err := scratch.NewSchema(ctx, server)
	if err != nil {
		return fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	reached, err := measure(ctx, schema, *rows, out)
	if err := errors.Join(err, schema.Drop()); err != nil {
		return err
	}
	if *strict && !reached {
		return errors.New("a goal was not reached")
	}
	return nil
}

// measure prints a line per run and reports whether it met the goals.
func measure(ctx context.Context, schema *scratch.Schema, rows int, out io.Writer) (bool, error) {
	database, err := customerdb.OpenPostgres(schema.URL)
	if err != nil {
		return false, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = database.Close() }()
	if err := database.Migrate(ctx); err != nil {
		return false, fmt.Errorf("migrating: %w", err)
	}
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		return false, fmt.Errorf("naming the API: %w", err)
	}
	lines := customer.CSVImport{API: api, Bad: func(int, error) {}, Progress: func(customer.ImportCounts) {}}
	tryOut := lines
	tryOut.DryRun = true

	reached := true
	for _, run := range []struct {
		name   string
		csv    customer.CSVImport
		linked int
	}{
		{"dry run", tryOut, rows},
		{"import", lines, rows},
		{"import again", lines, 0},
	} {
		begin := time.Now()
		got, err := run.csv.Run(ctx, database, scratch.Links(rows))
		took := time.Since(begin)
		if err != nil {
			return false, fmt.Errorf("%s: %w", run.name, err)
		}
		if want := (customer.ImportCounts{Lines: rows, Linked: run.linked, There: rows - run.linked}); got != want {
			return false, fmt.Errorf("%s: counted %+v, want %+v", run.name, got, want)
		}
		memory, err := mostMemory()
		if err != nil {
			return false, err
		}
		reached = reached && took < goalTime && memory < goalMemory
		_, _ = fmt.Fprintf(out, "%-12s  %8d rows  %6.1f s  %7.0f rows/s  %4d MiB\n",
			run.name, rows, took.Seconds(), float64(rows)/took.Seconds(), memory>>20)
	}
	_, _ = fmt.Fprintf(out, "goals: under %v, under %d MiB: reached %v\n", goalTime, goalMemory>>20, reached)
	return reached, nil
}

// mostMemory is the peak resident memory of the process in bytes.
func mostMemory() (int64, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("asking for the memory: %w", err)
	}
	return usage.Maxrss << 10, nil // Linux counts in KiB
}
