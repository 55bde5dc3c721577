package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/api"
	"dropgate/internal/audit"
	"dropgate/internal/auth"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
	"dropgate/internal/handler"
	"dropgate/internal/ratelimit"
)

// App is the service, listening.
type App struct {
	config   Config
	out      *output
	log      zerolog.Logger
	trail    audit.Trail
	public   *server
	admin    *server
	keys     *auth.KeySet   // nil without the modes bearer and oidc
	redis    *redis.Client  // nil without REDIS_URL
	oidc     *auth.OIDC     // nil without the mode oidc
	sessions *session.Redis // nil unless the sessions are in Redis
	dwolla   *dwolla.Client
	store    *customerdb.Database // nil where the service keeps nothing
	query    *customer.Query      // nil unless the directory is a query
	inbox    *customer.Inbox      // nil without webhooks
	outbox   *customerdb.Outbox   // nil without store
	draining atomic.Bool

	databaseWrites, sessionWrites writeTest
}

// Open puts the service together and listens, but answers nothing until Serve:
// so that a busy port or a database that cannot be opened is an error here.
// What needs the network is not waited for.
func Open(ctx context.Context, c Config, version string, logs io.Writer) (*App, error) {
	out, err := openOutput(c, logs)
	if err != nil {
		return nil, err
	}
	a := &App{config: c, out: out, log: newLogger(c, out.log)}
	if err := a.open(ctx, version); err != nil {
		a.close()
		out.close()
		return nil, err
	}
	a.log.Info().
		Str("version", version).
		Str("environment", string(c.Environment)).
		Str("http_addr", a.PublicAddr()).
		Str("admin_addr", a.AdminAddr()).
		Strs("auth_modes", c.AuthModes).
		Str("customer_source", c.CustomerSource).
		Strs("allowed_actions", c.AllowedActions).
		Msg("listening")
	a.begin("opened")
	return a, nil
}

func (a *App) open(ctx context.Context, version string) error {
	c := a.config
	registry := newRegistry(version)
	a.out.observe(registry)
	a.trail = audit.NewTrail(a.out.sink, registry)
	a.dwolla = dwolla.New(dwolla.Config{
		API:           c.api,
		ClientID:      c.ClientID,
		ClientSecret:  c.ClientSecret,
		Timeout:       c.Timeout,
		MaxConcurrent: c.MaxCalls,
		Logger:        a.log,
		Registerer:    registry,
	})
	d, err := a.openCustomers(ctx, registry)
	if err != nil {
		return err
	}
	if !c.RedisURL.IsZero() {
		if a.redis, err = openRedis(c.RedisURL); err != nil {
			return fmt.Errorf("REDIS_URL: %w", err)
		}
	}
	limits := a.limiter(registry)
	chain := a.authChain(registry, limits) // before a.oidc, which it sets
	public, err := handler.New(handler.Config{
		Now: time.Now, BasePath: c.BasePath, Environment: c.Environment,
		Vendor: &clienttoken.Vendor{
			API: c.api, Policy: c.policy, Directory: d.directory, Dwolla: a.dwolla, Enrollment: d.enrollment, Creations: limits, Changes: d.notifier,
		},
		Auth:           chain,
		OIDC:           a.oidc,
		Webhooks:       d.webhooks,
		AllowedOrigins: c.AllowedOrigins,
		TrustedProxies: c.proxies,
		ProxyHeader:    c.ProxyHeader,
		Limits:         limits,
		OpenAPI:        api.OpenAPI,
		Audit:          a.trail,
		Logger:         a.log,
		Registerer:     registry,
	})
	if err != nil {
		return fmt.Errorf("ALLOWED_ORIGINS: %w", err)
	}
	admin := handler.NewAdmin(handler.AdminConfig{
		Version: version, Ready: a.ready, Gatherer: registry,
		Operators: c.operators, Hosts: handler.AdminHosts{Names: c.AdminHosts},
		API: c.api, Links: d.records, Audit: a.trail, Logger: a.log,
	})
	if a.public, err = listen(ctx, c.HTTPAddr, a.movingOn(public), a.log); err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	if a.admin, err = listen(ctx, c.AdminAddr, admin, a.log); err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	return a.openTLS(registry)
}

// authChain puts the sign-in modes in their order.
func (a *App) authChain(registry prometheus.Registerer, limits *ratelimit.Limiter) *auth.Chain {
	modes := make([]auth.Mode, 0, len(a.config.AuthModes))
	for _, mode := range a.config.AuthModes {
		switch mode {
		case "bearer":
			modes = append(modes, a.bearer(registry))
		case "oidc":
			a.openOIDC(registry, limits)
			modes = append(modes, a.oidc)
		case "forward":
			modes = append(modes, auth.NewForward(auth.ForwardConfig{
				URL:       a.config.ForwardURL,
				Cache:     a.config.ForwardCache,
				UserClaim: a.config.UserClaim,
				Claims:    a.config.claims(),
				Transport: http.DefaultTransport,
				Logger:    a.log,
			}))
		case "proxy":
			modes = append(modes, auth.NewProxy(auth.ProxyConfig{
				Header:  a.config.ProxyHeader,
				Secret:  a.config.ProxySecret,
				Trusted: a.config.proxies,
			}))
		}
	}
	return auth.NewChain(registry, modes...).Comparing(a.config.userIDs())
}

// claims are the names of the claims that are read after the sign-in.
func (c Config) claims() []string {
	names := []string{"name", "email"}
	if c.CustomerSource == "claim" {
		names = append(names, c.CustomerClaim)
	}
	return names
}

func (a *App) bearer(registry prometheus.Registerer) *auth.Bearer {
	return auth.NewBearer(auth.BearerConfig{
		Issuer:    a.config.BearerIssuer,
		Audience:  a.config.BearerAudience,
		Cookie:    a.config.BearerCookie,
		TokenType: a.config.BearerTokenType,
		ClientIDs: a.config.BearerClientIDs,
		UserClaim: a.config.UserClaim,
		Claims:    a.config.claims(),
		Keys:      a.keySet(registry),
	})
}

func (a *App) openOIDC(registry prometheus.Registerer, limiter *ratelimit.Limiter) {
	c := a.config
	limits := session.Limits{Idle: c.SessionIdle, Lifetime: c.SessionLifetime, Now: time.Now}
	var store session.Store = session.NewMemory(limits)
	if c.SessionStore == "redis" {
		a.sessions = session.NewRedis(session.RedisConfig{
			Client: a.redis,
			Limits: limits,
			Keys:   c.sealing,
			Scope:  session.Scope{Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, UserClaim: c.UserClaim, Origin: c.PublicURL},

			UserLimit:  limiter.UserKey,
			Logger:     a.log,
			Registerer: registry,
		})
		store = a.sessions
	} else if c.Environment == clienttoken.Production {
		a.log.Warn().Msg("SESSION_STORE is memory: sessions end with this process, and no other replica knows them")
	}
	if strings.HasPrefix(c.PublicURL, "http://") {
		a.log.Warn().Msg("PUBLIC_URL is not https: cookies lack Secure and __Host-, which is for trying out on this machine alone")
	}
	a.oidc = auth.NewOIDC(auth.OIDCConfig{
		Issuer:         c.OIDCIssuer,
		ClientID:       c.OIDCClientID,
		ClientSecret:   c.OIDCSecret,
		SealingKeys:    c.sealing,
		Scopes:         strings.Fields(c.OIDCScopes),
		UserClaim:      c.UserClaim,
		Claims:         c.claims(),
		Origin:         c.PublicURL,
		BasePath:       c.BasePath,
		AllowedOrigins: c.AllowedOrigins,
		SameSite:       c.sameSite,
		Ended:          handler.SignedOut(a.trail),
		Sessions:       session.Observe(store, registry),
		Keys:           a.keySet(registry),
		Transport:      http.DefaultTransport,
		Registerer:     registry,
	})
}

// keySet is the one of the identity provider: bearer and oidc have the same.
// Settings of a mode that is off were not checked, and must not say whose keys
// are believed.
func (a *App) keySet(registry prometheus.Registerer) *auth.KeySet {
	if a.keys == nil {
		issuer, url := a.config.OIDCIssuer, ""
		if slices.Contains(a.config.AuthModes, "bearer") {
			issuer, url = a.config.BearerIssuer, a.config.BearerJWKSURL
		}
		a.keys = auth.NewKeySet(auth.KeySetConfig{
			Issuer:     issuer,
			URL:        url,
			Transport:  http.DefaultTransport,
			Logger:     a.log,
			Registerer: registry,
		})
	}
	return a.keys
}

// PublicAddr is the address that the public listener listens on.
func (a *App) PublicAddr() string { return a.public.listener.Addr().String() }

// AdminAddr is the address that the admin listener listens on.
func (a *App) AdminAddr() string { return a.admin.listener.Addr().String() }

// Serve answers requests until ctx ends, and then drains: readiness says no,
// requests are still taken for SHUTDOWN_DELAY, so that balancers notice, and
// those under way get SHUTDOWN_TIMEOUT. When hurry ends, all of that ends at
// once. Serve returns nil when nothing was cut, and ErrCut when requests were,
// which the log counts.
func (a *App) Serve(ctx, hurry context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer a.out.close()
	defer a.end(func() {
		stop()
		running.Wait()
		a.close()
	})
	running.Go(func() { a.dwolla.Run(background) })
	running.Go(func() { a.watch(background) })
	if a.sessions != nil {
		running.Go(func() { a.followRedis(background, a.sessions) })
	}
	if a.keys != nil {
		running.Go(func() { a.keys.Run(background) })
	}
	if a.oidc != nil {
		running.Go(func() { a.oidc.Run(background) })
	}
	if a.store != nil {
		running.Go(func() { a.migrate(background) })
	}
	if a.outbox != nil {
		running.Go(func() { a.outbox.Run(background) })
	}
	if a.inbox != nil {
		running.Go(func() { a.inbox.Run(background) })
	}

	failed := make(chan error, 2)
	for _, s := range []*server{a.public, a.admin} {
		go func() { failed <- s.serve() }()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	case <-hurry.Done():
	}
	return a.drain(hurry)
}

// end ends what is behind the requests. A store that hangs does not hold up the
// end of the process.
func (a *App) end(everything func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		everything()
	}()
	select {
	case <-ended:
	case <-time.After(endWithin):
		a.log.Warn().Msg("the stores did not close in time")
	}
}

// close lets go of everything that was opened, in the reverse order.
func (a *App) close() {
	for _, s := range []*server{a.admin, a.public} {
		if s != nil {
			_ = s.http.Close()
			_ = s.listener.Close()
		}
	}
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.log.Error().Err(err).Msg("closing the database")
		}
	}
	if a.query != nil {
		if err := a.query.Close(); err != nil {
			a.log.Error().Err(err).Msg("closing the application's database")
		}
	}
	if a.redis != nil {
		if err := a.redis.Close(); err != nil {
			a.log.Error().Err(err).Msg("closing the connections to Redis")
		}
	}
	if a.dwolla != nil {
		a.dwolla.Close()
	}
}
