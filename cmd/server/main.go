// The server command runs dropgate. It is configured by environment variables
// alone; -help prints them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"dropgate/internal/app"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "devel"

// gcPercent lets the heap grow to three times what is live before a collection.
// That is only a few megabytes: with Go's default of 100 a busy service collects
// a hundred times a second to keep itself under ten (docs/performance.md).
const gcPercent = 200

// The exit codes.
const (
	exitOK     = 0
	exitFault  = 1 // the service could not start, or had to cut requests when it stopped
	exitConfig = 2 // the configuration or the command line is wrong; nothing has listened
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the default holds again: a second one kills.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {}
	check := flags.Bool("check", false, "check the configuration and exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintf(stdout, "usage: server [-help | -check | -version]\n\n%s", app.Usage())
		return exitOK
	} else if err != nil || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "usage: server [-help | -check | -version]")
		return exitConfig
	}
	if *showVersion {
		_, _ = fmt.Fprintln(stdout, version)
		return exitOK
	}
	config, err := app.Load(environ)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitConfig
	}
	if *check {
		_, _ = fmt.Fprintln(stdout, "the configuration is good")
		return exitOK
	}
	service, err := app.Open(ctx, config, version, stdout)
	if err == nil {
		err = service.Serve(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitFault
	}
	return exitOK
}
