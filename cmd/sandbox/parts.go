package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

// The credentials accepted by the emulator.
const (
	demoClientID     = "sandbox-key"
	demoClientSecret = "sandbox-secret"
)

// audience is the aud of the demo provider's bearer tokens.
const audience = "dropgate"

// The service's client id and secret at the demo provider.
const (
	demoClient    = "dropgate-web"
	demoWebSecret = "sandbox-web-secret" //nolint:gosec // only for the demo provider
)

// sandboxAPI is the root of Dwolla's API for its sandbox.
const sandboxAPI = "https://api-sandbox.dwolla.com"

// background runs the dependencies. They outlive the service, which drains first.
type background struct {
	options  options
	personas []persona
	emulator *emulator.Emulator // nil with Dwolla's own sandbox
	provider *provider.Provider
	apiRoot  string // of Dwolla's API
	issuer   string // of the provider
	closers  []func() error
}

func (b *background) close() {
	for _, c := range b.closers {
		_ = c()
	}
}

// listen opens addr. flagName is the flag with the address.
func listen(ctx context.Context, addr, flagName string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, portError(err, flagName)
	}
	return listener, nil
}

// serve answers requests.
func (b *background) serve(listener net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	b.closers = append(b.closers, server.Close)
}

// portError adds advice to the error of a port in use.
func portError(err error, flagName string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program uses this port; choose another one with %s HOST:PORT", err, flagName)
	}
	return err
}

// dwolla starts the emulator, unless environ has credentials for Dwolla's own
// sandbox. It returns the service's settings for either.
func (b *background) dwolla(ctx context.Context, environ []string) ([]string, error) {
	if own := credentials(environ); own != nil {
		b.apiRoot = sandboxAPI
		return append(own, variables(environ, "HTTPS_PROXY", "HTTPS_PROXY_FILE", "https_proxy", "NO_PROXY", "no_proxy")...), nil
	}
	if err := b.startEmulator(ctx); err != nil {
		return nil, err
	}
	return []string{
		"DWOLLA_CLIENT_ID=" + demoClientID,
		"DWOLLA_CLIENT_SECRET=" + demoClientSecret,
		"DWOLLA_BASE_URL=" + b.apiRoot,
	}, nil
}

// startEmulator starts the emulator with the personas' Customers.
func (b *background) startEmulator(ctx context.Context) error {
	b.emulator = emulator.New(emulator.Options{ClientID: demoClientID, ClientSecret: demoClientSecret, LinkRoot: b.options.links})
	b.closers = append(b.closers, func() error { b.emulator.Close(); return nil })
	kept := stateFile{name: b.options.state, emulator: b.emulator}
	if restored, err := kept.restore(); err != nil {
		return err
	} else if !restored {
		if err := addPersonas(b.emulator, b.personas); err != nil {
			return err
		}
	}
	if err := kept.save(); err != nil {
		return err
	}
	if b.options.webhooks != "" {
		if err := b.emulator.Subscribe(b.options.webhooks, b.options.webhookSecret); err != nil {
			return err
		}
	}
	listener, err := listen(ctx, b.options.emulatorAddr, "-emulator-addr")
	if err != nil {
		return err
	}
	b.apiRoot = publicURL(listener.Addr().String())
	b.serve(listener, kept.saving(b.emulator))
	return nil
}

// credentials returns the credentials of a Dwolla application in environ, or nil.
func credentials(environ []string) []string {
	return variables(environ, "DWOLLA_CLIENT_ID", "DWOLLA_CLIENT_SECRET", "DWOLLA_CLIENT_SECRET_FILE")
}

// variables returns the variables of environ with one of these names and a value.
func variables(environ []string, names ...string) []string {
	var found []string
	for _, variable := range environ {
		if name, value, _ := strings.Cut(variable, "="); value != "" && slices.Contains(names, name) {
			found = append(found, variable)
		}
	}
	return found
}

// startProvider starts the demo identity provider for the page at public. Browsers
// reach the service there, and the provider itself at -service.
func (b *background) startProvider(ctx context.Context, public string) error {
	listener, err := listen(ctx, b.options.providerAddr, "-provider-addr")
	if err != nil {
		return err
	}
	b.closers = append(b.closers, listener.Close)
	b.issuer = b.options.providerIssuer
	if b.issuer == "" {
		b.issuer = publicURL(listener.Addr().String())
	}
	users := map[string]map[string]any{}
	for _, p := range b.personas {
		users[p.User] = p.claims()
	}
	o := provider.Options{
		Issuer:     b.issuer,
		BrowserURL: b.options.providerForBrowsers,
		Audience:   audience,
		Users:      users,
		Clients: []provider.Client{{
			ID:                     demoClient,
			Secret:                 clienttoken.NewSecret(demoWebSecret),
			RedirectURIs:           []string{public + basePath + "/auth/callback"},
			PostLogoutRedirectURIs: []string{public + "/"},
			BackChannelLogoutURI:   cmp.Or(b.options.service, public) + basePath + "/auth/backchannel-logout",
		}},
	}
	if file := keyFile(b.options.providerKey); file != "" {
		o.Keep = file.write
		if o.Key, err = file.open(); err != nil {
			return err
		}
	}
	b.provider, err = provider.New(o)
	if err != nil {
		return err
	}
	b.serve(listener, b.provider)
	return nil
}

// secrets are shared by the parts, and new for each run.
type secrets struct {
	webhooks string
	admin    clienttoken.Secret // for the directory
}

// settings are the service's, apart from those for Dwolla and the directory.
func (b *background) settings(public string, s secrets) []string {
	return []string{
		"DWOLLA_WEBHOOK_SECRET=" + s.webhooks,
		"ADMIN_TOKEN=" + sandboxOperator + ":ro:" + s.admin.Reveal(),
		"ALLOWED_ACTIONS=customer.read", // config.Policy replaces it
		"HTTP_ADDR=127.0.0.1:0",
		"ADMIN_ADDR=" + b.options.adminAddr,
		"PUBLIC_URL=" + public,
		"BASE_PATH=" + basePath,
		"TRUSTED_PROXIES=127.0.0.1,::1",
		"AUTH_MODES=bearer,oidc",
		"AUTH_BEARER_ISSUER=" + b.issuer,
		"AUTH_BEARER_AUDIENCE=" + audience,
		"AUTH_OIDC_ISSUER=" + b.issuer,
		"AUTH_OIDC_CLIENT_ID=" + demoClient,
		"AUTH_OIDC_CLIENT_SECRET=" + demoWebSecret,
		"RATE_LIMIT_USER=600/1m",
		"RATE_LIMIT_IP=3000/1m",
		"RATE_LIMIT_CREATE=50/1h",
		"LOG_FORMAT=json", // the inspector reads it, and prints it for people,
		"SHUTDOWN_DELAY=0s",
		"DWOLLA_TIMEOUT=3s", // shorter than the fault slow
	}
}
