// The sandbox command runs dropgate and everything that it needs on one
// machine: an in-memory Dwolla, a demo identity provider with three users, one of
// them new, and the service itself. It needs no account and no configuration. With
// DWOLLA_CLIENT_ID and DWOLLA_CLIENT_SECRET set it talks to Dwolla's own
// sandbox in place of the emulator.
//
// It is for trying out and for tests: whoever reaches its identity provider is
// whoever they say.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"dropgate/internal/app"
	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

// The emulator accepts these and no others.
const (
	demoClientID     = "sandbox-key"
	demoClientSecret = "sandbox-secret"
)

// The demo users' Customers, which the emulator has and Dwolla has not.
const (
	demoAlice = "11111111-1111-4111-8111-111111111111"
	demoBob   = "22222222-2222-4222-8222-222222222222"
)

// audience is what the demo provider's bearer tokens are for.
const audience = "dropgate"

// The service as the demo provider knows it, to sign browsers in.
const (
	demoClient    = "dropgate-web"
	demoWebSecret = "sandbox-web-secret" //nolint:gosec // opens nothing but the demo provider
)

// options are the command line.
type options struct {
	emulatorAddr, providerAddr, httpAddr, adminAddr string
	providerIssuer                                  string
	alice, bob                                      string
	backends                                        bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.StringVar(&o.emulatorAddr, "emulator-addr", "127.0.0.1:17188", "where the Dwolla emulator listens")
	flags.StringVar(&o.providerAddr, "provider-addr", "127.0.0.1:17189", "where the demo identity provider listens")
	flags.StringVar(&o.providerIssuer, "provider-issuer", "", "the provider's URL as tokens name it (default: by -provider-addr)")
	flags.StringVar(&o.httpAddr, "http-addr", "127.0.0.1:8080", "where dropgate listens")
	flags.StringVar(&o.adminAddr, "admin-addr", "127.0.0.1:9090", "where dropgate answers probes and metrics")
	flags.StringVar(&o.alice, "alice", demoAlice, "the id of alice's Customer; with Dwolla's sandbox, one of yours")
	flags.StringVar(&o.bob, "bob", demoBob, "the id of bob's Customer; with Dwolla's sandbox, another one of yours")
	flags.BoolVar(&o.backends, "backends", false, "run the emulator and the identity provider only, for a server elsewhere")
	if err := flags.Parse(args); err != nil {
		return o, err //nolint:wrapcheck // says all: the flag and what is wrong with it
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	return o, nil
}

// background runs what the service stands on; it is told apart from the
// service so that the service can be drained first.
type background struct {
	emulator *emulator.Emulator // nil with Dwolla's own sandbox
	closers  []func() error
}

func (b *background) close() {
	for _, c := range b.closers {
		_ = c()
	}
}

// serve answers requests at addr, which the named flag chooses.
func (b *background) serve(ctx context.Context, addr, flagName string, h http.Handler) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", portError(err, flagName)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	b.closers = append(b.closers, server.Close)
	return "http://" + listener.Addr().String(), nil
}

// portError tells what to do about a port that somebody else has.
func portError(err error, flagName string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program has that port; choose another one with %s HOST:PORT", err, flagName)
	}
	return err
}

func run(ctx context.Context, args, environ []string, out io.Writer) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	var b background
	defer b.close()

	dwolla, err := b.dwolla(ctx, o, environ)
	if err != nil {
		return err
	}
	public := publicURL(o.httpAddr)
	issuer, err := b.provider(ctx, o, public)
	if err != nil {
		return err
	}
	if o.backends {
		_, _ = fmt.Fprintf(out, "the emulator is at %s, the identity provider at %s\n", o.emulatorAddr, issuer)
		<-ctx.Done()
		return nil
	}
	directory, err := b.directory(ctx, o, dwolla)
	if err != nil {
		return err
	}
	secret := rand.Text()
	config, err := app.Load(append(append(dwolla, directory...),
		"DWOLLA_WEBHOOK_SECRET="+secret,
		"ALLOWED_ACTIONS=dwolla-customer-update,dwolla-document-upload,dwolla-personal-vcr",
		"HTTP_ADDR="+o.httpAddr,
		"ADMIN_ADDR="+o.adminAddr,
		"PUBLIC_URL="+public,
		"AUTH_MODES=bearer,oidc",
		"AUTH_BEARER_ISSUER="+issuer,
		"AUTH_BEARER_AUDIENCE="+audience,
		"AUTH_OIDC_ISSUER="+issuer,
		"AUTH_OIDC_CLIENT_ID="+demoClient,
		"AUTH_OIDC_CLIENT_SECRET="+demoWebSecret,
		"LOG_FORMAT=console",
		"SHUTDOWN_DELAY=0s",
	))
	if err != nil {
		return err
	}
	service, err := app.Open(ctx, config, "sandbox", out)
	if err != nil {
		return portError(err, "-http-addr or -admin-addr")
	}
	if b.emulator != nil {
		if err := b.emulator.Subscribe(public+"/webhooks/dwolla", secret); err != nil {
			return err
		}
	}
	b.printCommands(out, public, issuer, o)
	if credentials(environ) != nil && (o.alice == demoAlice || o.bob == demoBob) {
		_, _ = fmt.Fprintln(out, "Dwolla's sandbox does not know alice's and bob's made-up Customers: name two of yours with -alice and -bob.")
	}
	return service.Serve(ctx, context.WithoutCancel(ctx)) // a second signal kills
}

// dwolla starts the emulator, unless there are credentials for Dwolla's own
// sandbox. It returns the part of the service's configuration that says so.
func (b *background) dwolla(ctx context.Context, o options, environ []string) ([]string, error) {
	if own := credentials(environ); own != nil && !o.backends {
		return own, nil
	}
	dwolla := emulator.New(emulator.Options{ClientID: demoClientID, ClientSecret: demoClientSecret})
	b.emulator = dwolla
	b.closers = append(b.closers, func() error { dwolla.Close(); return nil })
	for name, id := range map[string]string{"Alice": o.alice, "Bob": o.bob} {
		if _, err := dwolla.AddCustomer(emulator.Customer{
			ID: id, FirstName: name, LastName: "Demo", Email: name + "@example.com", Type: "personal", Status: "verified",
		}); err != nil {
			return nil, fmt.Errorf("%s's Customer: %w", name, err)
		}
	}
	root, err := b.serve(ctx, o.emulatorAddr, "-emulator-addr", dwolla)
	return []string{
		"DWOLLA_CLIENT_ID=" + demoClientID,
		"DWOLLA_CLIENT_SECRET=" + demoClientSecret,
		"DWOLLA_BASE_URL=" + root,
	}, err
}

// credentials are the settings of environ that name an application at Dwolla,
// or nil when there are none.
func credentials(environ []string) []string {
	var own []string
	for _, variable := range environ {
		for _, name := range []string{"DWOLLA_CLIENT_ID=", "DWOLLA_CLIENT_SECRET=", "DWOLLA_CLIENT_SECRET_FILE="} {
			if value, found := strings.CutPrefix(variable, name); found && value != "" {
				own = append(own, variable)
			}
		}
	}
	return own
}

// publicURL is where a browser on this machine reaches what listens at addr.
func publicURL(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip, parseErr := netip.ParseAddr(host); err == nil && (host == "" || parseErr == nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + addr
}

// provider starts the demo identity provider for the service at public, and
// returns its issuer.
func (b *background) provider(ctx context.Context, o options, public string) (string, error) {
	issuer := o.providerIssuer
	if issuer == "" {
		issuer = "http://" + o.providerAddr
	}
	p, err := provider.New(provider.Options{
		Issuer:   issuer,
		Audience: audience,
		Users: map[string]map[string]any{
			"alice": {"name": "Alice Demo", "email": "alice@example.com", "dwolla_customer": o.alice},
			"bob":   {"name": "Bob Demo", "email": "bob@example.com", "dwolla_customer": o.bob},
			"carol": {"name": "Carol Demo", "email": "carol@example.com"}, // who has no Customer yet
		},
		Clients: []provider.Client{{
			ID:                     demoClient,
			Secret:                 clienttoken.NewSecret(demoWebSecret),
			RedirectURIs:           []string{public + "/auth/callback"},
			PostLogoutRedirectURIs: []string{public + "/"},
			BackChannelLogoutURI:   public + "/auth/backchannel-logout",
		}},
	})
	if err != nil {
		return "", err
	}
	_, err = b.serve(ctx, o.providerAddr, "-provider-addr", p)
	return issuer, err
}
