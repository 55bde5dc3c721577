// The sandbox command runs dropgate and its dependencies on one machine: an
// in-memory Dwolla, a demo identity provider with three users, and the service. It
// needs no account and no configuration. With DWOLLA_CLIENT_ID and
// DWOLLA_CLIENT_SECRET set, it uses Dwolla's own sandbox in place of the emulator.
//
// It is for trying out and for tests, and never for production: at its identity
// provider, anyone can sign in as any user.
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
	"slices"
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

// The credentials that the emulator accepts.
const (
	demoClientID     = "sandbox-key"
	demoClientSecret = "sandbox-secret"
)

// The demo users' Customers, which exist only in the emulator.
const (
	demoAlice = "11111111-1111-4111-8111-111111111111"
	demoBob   = "22222222-2222-4222-8222-222222222222"
)

// audience is the aud of the demo provider's bearer tokens.
const audience = "dropgate"

// The service's client id and secret at the demo provider.
const (
	demoClient    = "dropgate-web"
	demoWebSecret = "sandbox-web-secret" //nolint:gosec // only for the demo provider
)

// options are the command line.
type options struct {
	emulatorAddr, providerAddr, httpAddr, adminAddr string
	providerIssuer                                  string
	alice, bob                                      string
	backends                                        bool
	settings                                        []string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.StringVar(&o.emulatorAddr, "emulator-addr", "127.0.0.1:17188", "address of the Dwolla emulator")
	flags.StringVar(&o.providerAddr, "provider-addr", "127.0.0.1:17189", "address of the demo identity provider")
	flags.StringVar(&o.providerIssuer, "provider-issuer", "", "issuer URL of the provider (default: from -provider-addr)")
	flags.StringVar(&o.httpAddr, "http-addr", "127.0.0.1:8080", "address of dropgate")
	flags.StringVar(&o.adminAddr, "admin-addr", "127.0.0.1:9090", "address of dropgate's probes and metrics")
	flags.StringVar(&o.alice, "alice", demoAlice, "id of alice's Customer; with Dwolla's sandbox, one of yours")
	flags.StringVar(&o.bob, "bob", demoBob, "id of bob's Customer; with Dwolla's sandbox, another one of yours")
	flags.BoolVar(&o.backends, "backends", false, "run only the emulator and the identity provider, for a server elsewhere")
	flags.Func("env", "a further setting of dropgate, `NAME=VALUE`; may be given several times", func(setting string) error {
		if !strings.Contains(setting, "=") {
			return errors.New("is not NAME=VALUE")
		}
		o.settings = append(o.settings, setting)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err //nolint:wrapcheck // names the flag and the fault
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

// background runs the dependencies. They outlive the service, which drains first.
type background struct {
	emulator *emulator.Emulator // nil with Dwolla's own sandbox
	closers  []func() error
}

func (b *background) close() {
	for _, c := range b.closers {
		_ = c()
	}
}

// serve answers requests at addr. flagName is the flag with the address.
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

// portError adds advice to the error of a port in use.
func portError(err error, flagName string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program uses this port; choose another one with %s HOST:PORT", err, flagName)
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
	config, err := app.Load(slices.Concat(dwolla, directory, []string{
		"DWOLLA_WEBHOOK_SECRET=" + secret,
		"ALLOWED_ACTIONS=dwolla-customer-update,dwolla-document-upload,dwolla-personal-vcr",
		"HTTP_ADDR=" + o.httpAddr,
		"ADMIN_ADDR=" + o.adminAddr,
		"PUBLIC_URL=" + public,
		"AUTH_MODES=bearer,oidc",
		"AUTH_BEARER_ISSUER=" + issuer,
		"AUTH_BEARER_AUDIENCE=" + audience,
		"AUTH_OIDC_ISSUER=" + issuer,
		"AUTH_OIDC_CLIENT_ID=" + demoClient,
		"AUTH_OIDC_CLIENT_SECRET=" + demoWebSecret,
		"LOG_FORMAT=console",
		"SHUTDOWN_DELAY=0s",
	}, o.settings))
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
		_, _ = fmt.Fprintln(out, "Dwolla's sandbox does not have alice's and bob's demo Customers: name two of yours with -alice and -bob.")
	}
	return service.Serve(ctx, context.WithoutCancel(ctx)) // a second signal kills
}

// dwolla starts the emulator, unless environ has credentials for Dwolla's own
// sandbox. It returns the service's settings for either.
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

// credentials returns the credentials of a Dwolla application in environ, or nil.
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

// publicURL is the URL of a listener for a browser on this machine.
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
			"carol": {"name": "Carol Demo", "email": "carol@example.com"}, // has no Customer yet
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
