// The server command runs dropgate. It is configured by environment variables
// alone; -help prints them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"dropgate/internal/app"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "devel"

// gcPercent lets the heap grow to two and a half times what is live before a
// collection. That is only a few megabytes: with Go's default of 100 a busy service
// collects a hundred times a second to keep itself under ten (docs/performance.md).
const gcPercent = 150

// memoryLimit is where the collections become as many as it takes. It is twice
// what the service lives on when it has all the connections that it lets in.
const memoryLimit = 120 << 20

const usage = `usage: server [-help | -check | -version]
       server customers import | export | link | unlink | show`

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
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, hurry := signals()
	os.Exit(run(ctx, hurry, os.Args[1:], os.Environ(), app.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// signals returns a context that ends with the first signal to stop, and one
// that ends with the second. The third kills, as without a handler.
func signals() (ctx, hurry context.Context) {
	ctx, first := context.WithCancel(context.Background())
	hurry, second := context.WithCancel(context.Background())
	got := make(chan os.Signal, 2)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-got
		first()
		<-got
		signal.Stop(got)
		second()
	}()
	return ctx, hurry
}

func run(ctx, hurry context.Context, args, environ []string, std app.Streams) int {
	if len(args) > 0 && args[0] == "customers" {
		// A tool that waits for its input does not see the first signal.
		defer context.AfterFunc(hurry, func() { os.Exit(exitFault) })()
		return customers(ctx, args[1:], environ, std)
	}
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(std.Err)
	flags.Usage = func() {}
	check := flags.Bool("check", false, "check the configuration and exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintf(std.Out, "%s\n\n%s", usage, app.Usage())
		return exitOK
	} else if err != nil || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(std.Err, usage)
		return exitConfig
	}
	if *showVersion {
		_, _ = fmt.Fprintln(std.Out, version)
		return exitOK
	}
	config, err := app.Load(environ)
	if err != nil {
		_, _ = fmt.Fprintln(std.Err, err)
		return exitConfig
	}
	if *check {
		_, _ = fmt.Fprintln(std.Out, "the configuration is good")
		return exitOK
	}
	service, err := app.Open(ctx, config, version, std.Out)
	if err == nil {
		err = service.Serve(ctx, hurry)
	}
	switch {
	case err == nil:
		return exitOK
	case !errors.Is(err, app.ErrCut): // which the log has told, with the number
		_, _ = fmt.Fprintln(std.Err, err)
	}
	return exitFault
}

// customers runs the tools for the directory.
func customers(ctx context.Context, args, environ []string, std app.Streams) int {
	err := app.Customers(ctx, args, environ, std)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(std.Err, err)
	if _, wrong := errors.AsType[*app.ConfigError](err); wrong || errors.Is(err, app.ErrUsage) {
		return exitConfig
	}
	return exitFault
}
