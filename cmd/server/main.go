// The server command runs dropgate. Environment variables configure it; -help
// prints them. It never reads a configuration file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log" //nolint:depguard // libraries write to it, and must not block on standard error
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"dropgate/internal/app"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "devel"

// commit is set likewise. Without it, Go knows the commit of a build in a git checkout.
var commit string //nolint:gochecknoglobals // the linker sets it

// gcPercent lets the heap grow to two and a half times the live data before a
// collection. The live data is only a few megabytes: with Go's default of 100, a
// busy service collects a hundred times a second (docs/performance.md).
const gcPercent = 150

// memoryLimit is where the collections become as many as it takes. The runtime does
// not count the pages of the binary itself, about 20 MiB: with all caches full the
// process stays below 120 MiB (faults, TestServerStaysSmallWithFullCaches).
const memoryLimit = 88 << 20

const usage = `usage: server [-help | -check | -healthcheck | -version]
       server doctor [-json] [-user USER] [-forwarded ADDRESSES]
       server migrate
       server customers import | export | link | unlink | show
       server sessions list | end`

// The exit codes.
const (
	exitOK     = 0
	exitFault  = 1 // the service could not start, is not ready, or cut requests when it stopped
	exitConfig = 2 // the configuration or the command line is wrong; the service never listened
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

// signals returns a context for the first signal to stop, and one for the second.
// The third signal kills the process.
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
	if len(args) > 0 {
		switch rest := args[1:]; args[0] {
		case "customers":
			// A command that waits for input does not see the first signal.
			defer context.AfterFunc(hurry, func() { os.Exit(exitFault) })()
			return customers(ctx, rest, environ, std)
		case "doctor":
			return exitCode(app.Doctor(ctx, rest, environ, std.Out), std)
		case "sessions":
			return exitCode(app.Sessions(ctx, rest, environ, std), std)
		case "migrate":
			if len(rest) == 0 {
				return exitCode(app.Migrate(ctx, environ, std.Out), std)
			}
		}
	}
	return options(ctx, hurry, args, environ, std)
}

// options runs the service, or what an option asks for in its place.
func options(ctx, hurry context.Context, args, environ []string, std app.Streams) int {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(std.Err)
	flags.Usage = func() {}
	check := flags.Bool("check", false, "check the configuration and exit")
	health := flags.Bool("healthcheck", false, "ask the running server whether it is ready, and exit")
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
	if *health {
		return healthcheck(ctx, environ, std)
	}
	if *check {
		if _, err := app.Load(environ); err != nil {
			return exitCode(err, std)
		}
		_, _ = fmt.Fprintln(std.Out, "the configuration is good")
		return exitOK
	}
	return serve(ctx, hurry, environ, std)
}

// healthcheck runs `server -healthcheck`, for containers without a shell.
func healthcheck(ctx context.Context, environ []string, std app.Streams) int {
	line, err := app.CheckHealth(ctx, environ)
	if err != nil {
		_, _ = fmt.Fprintln(std.Err, err)
		return exitCodeOf(err)
	}
	_, _ = fmt.Fprintln(std.Out, line)
	return exitOK
}

// exitCodeOf returns the exit code of a command.
func exitCodeOf(err error) int {
	_, wrong := errors.AsType[*app.ConfigError](err)
	if wrong || errors.Is(err, app.ErrUsage) || errors.Is(err, app.ErrDoctorUsage) || errors.Is(err, app.ErrSessionsUsage) {
		return exitConfig
	}
	return exitFault
}

// serve runs the service. A SIGHUP during the start waits for its end.
func serve(ctx, hurry context.Context, environ []string, std app.Streams) int {
	rotated := make(chan os.Signal, 1)
	signal.Notify(rotated, syscall.SIGHUP)
	config, err := app.Load(environ)
	if err != nil {
		return exitCode(err, std)
	}
	// A closed pipe is a fault of one output. It must not end the process.
	signal.Ignore(syscall.SIGPIPE)
	logging.Disable() // go-redis writes errors to standard error; the service logs them itself
	service, err := app.Open(ctx, config, app.Build{Version: version, Commit: commit}, std.Out)
	if err == nil {
		log.SetOutput(service.Log())
		go func() {
			for range rotated {
				service.Reopen()
				service.Reload()
			}
		}()
		err = service.Serve(ctx, hurry)
	}
	switch {
	case err == nil:
		return exitOK
	case !errors.Is(err, app.ErrCut): // the log has it, with the number
		lastWords(std.Err, err)
	}
	return exitFault
}

// lastWordsWithin bounds the wait for a standard error that hangs.
const lastWordsWithin = time.Second

func lastWords(to io.Writer, err error) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		_, _ = fmt.Fprintln(to, err)
	}()
	select {
	case <-said:
	case <-time.After(lastWordsWithin):
	}
}

// customers runs `server customers`.
func customers(ctx context.Context, args, environ []string, std app.Streams) int {
	return exitCode(app.Customers(ctx, args, environ, std), std)
}

// exitCode prints the error of a command, if there is one.
func exitCode(err error, std app.Streams) int {
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintln(std.Err, err)
	return exitCodeOf(err)
}
