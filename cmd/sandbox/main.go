// The sandbox command runs dropgate and its dependencies on one machine: an
// in-memory Dwolla, a demo identity provider, the service, and a page that shows
// every drop-in component. It needs no account and no configuration. With
// DWOLLA_CLIENT_ID and DWOLLA_CLIENT_SECRET set, it uses Dwolla's own sandbox in
// place of the emulator.
//
// A front listener joins the parts under one origin: the page at /, and the service
// behind a reverse proxy at /dropgate.
//
// It is for trying out and for tests, and never for production: at its identity
// provider, anyone can sign in as any user, and anyone who reaches the page can
// change what a user may do. It listens on the loopback interface unless told
// otherwise.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"dropgate/internal/app"
	"dropgate/internal/clienttoken"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	b := background{options: o, personas: demoPersonas(o)}
	defer b.close()
	switch {
	case o.healthcheck != "":
		return o.checkHealth(ctx, out)
	case o.only == onlyEmulator:
		return b.runEmulator(ctx, out)
	case o.only == onlyProvider:
		return b.runProvider(ctx, out)
	case o.only == onlyPage:
		return b.runPage(ctx, out)
	case o.backends:
		return b.runBackends(ctx, out)
	}
	return b.runAll(ctx, environ, out)
}

// runEmulator runs the emulator alone.
func (b *background) runEmulator(ctx context.Context, out io.Writer) error {
	if err := b.startEmulator(ctx); err != nil {
		return err
	}
	printEmulator(out, b.apiRoot, b.personas)
	<-ctx.Done()
	return nil
}

// runBackends runs the dependencies of a service elsewhere.
func (b *background) runBackends(ctx context.Context, out io.Writer) error {
	if err := b.startEmulator(ctx); err != nil {
		return err
	}
	if err := b.startProvider(ctx, b.options.publicURL()); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "the emulator is at %s, the identity provider at %s\n", b.options.emulatorAddr, b.issuer)
	<-ctx.Done()
	return nil
}

// runAll runs every part until ctx ends.
func (b *background) runAll(ctx context.Context, environ []string, out io.Writer) error {
	dwolla, err := b.dwolla(ctx, environ)
	if err != nil {
		return err
	}
	if b.emulator == nil {
		b.personas = atDwolla(b.personas)
	}
	door, err := listen(ctx, b.options.httpAddr, "-http-addr")
	if err != nil {
		return err
	}
	public := publicURL(door.Addr().String())
	b.closers = append(b.closers, door.Close)
	if err := b.startProvider(ctx, public); err != nil {
		return err
	}
	directory, err := b.directory(ctx, dwolla)
	if err != nil {
		return err
	}
	secrets := secrets{webhooks: rand.Text(), admin: clienttoken.NewSecret(rand.Text() + rand.Text())}
	config, err := app.Load(slices.Concat(dwolla, directory, b.settings(public, secrets), b.options.settings,
		[]string{"LOG_FORMAT=json"})) // the inspector reads it, and prints it for people
	if err != nil {
		return err
	}
	people := &roster{personas: b.personas}
	policy := newPolicySwitch(b.personas)
	config.Policy = policy
	log := newInspector(app.ConsoleWriter(out), func(user string) clienttoken.Allowed { return policy.of(user).allowed() })
	service, err := app.Open(ctx, config, app.Build{Version: "sandbox"}, log)
	if err != nil {
		return portError(err, "-admin-addr")
	}
	f := &front{
		public: public, service: service.PublicAddr(), issuer: b.issuer, apiRoot: b.apiRoot, linkRoot: b.options.links, dwollaWeb: b.options.dwollaWeb,
		demo: &demo{
			roster: people, policy: policy, hub: log.hub, provider: b.provider,
			faults:  &faults{emulator: b.emulator},
			attacks: &attacks{service: public + basePath, issuer: b.issuer, stranger: strangerOf(public)},
			entries: operator{admin: "http://" + service.AdminAddr(), token: secrets.admin},
		},
	}
	pages, err := f.handler()
	if err != nil {
		return err
	}
	b.serve(door, pages)
	if b.emulator != nil {
		if err := b.emulator.Subscribe(public+basePath+"/webhooks/dwolla", secrets.webhooks); err != nil {
			return err
		}
	}
	b.printCommands(out, public)
	b.warn(out)
	return service.Serve(ctx, context.WithoutCancel(ctx)) // a second signal kills
}

// warn lists limits of Dwolla's own sandbox and library.
func (b *background) warn(out io.Writer) {
	own := b.emulator == nil
	if own && (b.options.alice == demoAlice || b.options.bob == demoBob) {
		_, _ = fmt.Fprintln(out, "Dwolla's sandbox does not have alice's and bob's demo Customers: name two of yours with -alice and -bob.")
	}
	if !own && b.options.dwollaWeb != "" {
		_, _ = fmt.Fprintln(out, "Dwolla's library calls api-sandbox.dwolla.com, which does not know the emulator's tokens: set DWOLLA_CLIENT_ID and DWOLLA_CLIENT_SECRET.")
	}
}
