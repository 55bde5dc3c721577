// The model command estimates what a number of users needs: requests, replicas, Redis
// and PostgreSQL. It prints the table of docs/scaling.md. With a flag it prints a column
// with the reader's own numbers.
//
// It multiplies averages that `make bench-scale` measured on one machine. It knows
// neither the reader's hardware nor Dwolla's limits.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "bench/model:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	own := scenarios()[1]
	own.name = "yours"
	flags := flag.NewFlagSet("bench/model", flag.ContinueOnError)
	flags.SetOutput(out)
	for _, a := range assumptions() {
		flags.Float64Var(a.of(&own), a.flag, *a.of(&own), a.name)
	}
	if err := flags.Parse(args); err != nil {
		return err //nolint:wrapcheck // says all: the flag and what is wrong with it
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: every number is a flag; see -help", flags.Arg(0))
	}
	for _, a := range assumptions() {
		if *a.of(&own) <= 0 {
			return fmt.Errorf("-%s must be more than 0", a.flag)
		}
	}
	shown := scenarios()
	if flags.NFlag() > 0 {
		shown = []scenario{own}
	}
	_, err := io.WriteString(out, table(shown))
	return err //nolint:wrapcheck // of standard output
}
