package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/api"
	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
	"dropgate/internal/handler"
	"dropgate/internal/listener"
	"dropgate/internal/notice"
	"dropgate/internal/ratelimit"
	"dropgate/internal/rotation"
	"dropgate/internal/tracing"
	"dropgate/internal/tracing/otlp"
)

// App is the running service.
type App struct {
	config   Config
	out      *output
	log      zerolog.Logger
	trail    audit.Trail
	public   *listener.Server
	admin    *listener.Server
	egress   *http.Transport
	redis    redis.UniversalClient // nil without REDIS_URL
	notices  *notice.Bus           // likewise
	caches   caches
	signIn   signIn
	dwolla   *dwolla.Client
	store    *customerdb.Database // nil if the service keeps no data
	query    *customer.Query      // nil unless CUSTOMER_SOURCE is query
	inbox    *customer.Inbox      // nil without webhooks
	outbox   *customerdb.Outbox   // nil without store
	traces   *otlp.Exporter       // nil without tracing
	tracer   *tracing.Tracer      // nil without tracing
	draining atomic.Bool

	connections  connectionLimits
	dependencies *dependencyMetrics
	limits       *ratelimit.Limiter

	forwardCalls, lookupCalls recentCalls // of the application

	// The parts whose secrets change, and what changes them.
	live             atomic.Pointer[Config] // config with the present secrets
	secrets          *rotation.Watcher
	lookup           *customer.Lookup     // nil unless CUSTOMER_SOURCE is lookup
	enrollment       *customer.Enrollment // nil without ENROLLMENT_KEYS
	redisCredentials *redisCredentials    // nil without a password for Redis

	databaseWrites, sessionWrites writeTest
}

// Open builds the service and listens, but answers no request until Serve. A busy
// port or a database that cannot be opened is an error. Open does not wait for
// other servers.
func Open(ctx context.Context, c Config, b Build, logs io.Writer) (*App, error) {
	out, err := openOutput(c, logs)
	if err != nil {
		return nil, err
	}
	a := &App{config: c, out: out, log: newLogger(c, out.log)}
	a.live.Store(&c)
	if err := a.open(ctx, b); err != nil {
		a.close()
		out.close()
		return nil, err
	}
	a.log.Info().
		Str("version", b.Version).
		Str("commit", b.commit()).
		Str("environment", string(c.Environment)).
		Str("http_addr", a.PublicAddr()).
		Str("admin_addr", a.AdminAddr()).
		Strs("auth_modes", c.AuthModes).
		Str("customer_source", c.CustomerSource).
		Strs("allowed_actions", c.AllowedActions).
		Uint64("file_descriptors", a.connections.descriptors).
		Int("max_connections", a.connections.public).
		Msg("listening")
	a.logDescriptors()
	a.begin("opened")
	return a, nil
}

func (a *App) open(ctx context.Context, b Build) error {
	c := a.config
	registry := newRegistry(b)
	a.out.observe(registry)
	a.trail = audit.NewTrail(a.out.sink, registry)
	a.openDwolla(b, registry)
	a.connectRedis(registry)
	d, err := a.openCustomers(ctx, registry)
	if err != nil {
		return err
	}
	limits := a.limiter(registry)
	a.signIn = a.openSignIn(registry, limits)
	a.openDependencyMetrics(registry)
	public, err := handler.New(handler.Config{
		Now: time.Now, BasePath: c.BasePath, Environment: c.Environment,
		Vendor: &clienttoken.Vendor{
			API: c.api, Policy: a.policy(), Directory: d.directory, Dwolla: a.dwolla, Enrollment: d.enrollment, Creations: limits, Changes: d.notifier,
		},
		Auth:           a.signIn.chain,
		OIDC:           a.signIn.oidc,
		Webhooks:       d.webhooks,
		AllowedOrigins: c.AllowedOrigins,
		Embedded:       c.Partitioned,
		TrustedProxies: c.proxies,
		ProxyHeader:    c.ProxyHeader,
		Limits:         limits,
		OpenAPI:        api.OpenAPI,
		Script:         api.Script,
		ScriptTypes:    api.ScriptTypes,
		Audit:          a.trail,
		Tracer:         a.tracer,
		Logger:         a.log,
		Registerer:     registry,
	})
	if err != nil {
		return fmt.Errorf("ALLOWED_ORIGINS: %w", err)
	}
	admin := handler.NewAdmin(handler.AdminConfig{
		Version: b.Version, Commit: b.commit(), Ready: a.ready, Gatherer: registry,
		Operators: a.operators(), Hosts: handler.AdminHosts{Names: c.AdminHosts},
		API: c.api, Links: d.records, Sessions: a.operatedSessions(), SessionStore: c.SessionStore, Audit: a.trail, Logger: a.log,
	})
	if err := a.listen(ctx, registry, public, admin); err != nil {
		return err
	}
	a.warnOfDerivedKeys()
	certificates, err := a.openTLS(registry)
	a.watchSecrets(registry, certificates)
	return err
}

// listen opens both listeners.
func (a *App) listen(ctx context.Context, registry prometheus.Registerer, public, admin http.Handler) error {
	c := a.config
	a.connections = c.connectionLimits()
	var err error
	if a.public, err = listener.Listen(ctx, listener.Config{
		Name: "public", Addr: c.HTTPAddr, Handler: a.closeWhileDraining(public),
		MaxConnections: a.connections.public, MaxHeader: c.maxHeader(), Logger: a.log, Registerer: registry,
	}); err != nil {
		return listenError("HTTP_ADDR", err)
	}
	if a.admin, err = listener.Listen(ctx, listener.Config{
		Name: "admin", Addr: c.AdminAddr, Handler: admin,
		MaxConnections: a.connections.admin, MaxHeader: usualHeader, Logger: a.log, Registerer: registry,
	}); err != nil {
		return listenError("ADMIN_ADDR", err)
	}
	return nil
}

// openDwolla opens the way out, and the client for Dwolla.
func (a *App) openDwolla(b Build, registry prometheus.Registerer) {
	c := a.config
	a.egress = c.newTransport()
	a.egress.Proxy = func(r *http.Request) (*url.URL, error) { return a.live.Load().proxyFor(r.URL) }
	a.tracer = a.openTracing(b.Version, registry)
	a.dwolla = dwolla.New(dwolla.Config{
		Base:          a.egress,
		API:           c.api,
		ClientID:      c.ClientID,
		ClientSecret:  c.ClientSecret,
		Timeout:       c.Timeout,
		MaxConcurrent: c.MaxCalls,
		TraceContext:  c.TraceContext,
		Logger:        a.log,
		Registerer:    registry,
	})
}

// listenError adds advice to the error of a listener.
func listenError(setting string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %w: another program uses this port; stop it, or choose another port", setting, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: choose a port above 1023", setting, err)
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// PublicAddr is the address of the public listener.
func (a *App) PublicAddr() string { return a.public.Addr() }

// AdminAddr is the address of the admin listener.
func (a *App) AdminAddr() string { return a.admin.Addr() }

// Serve answers requests until ctx ends, and then drains. Readiness fails first.
// For SHUTDOWN_DELAY, the service still takes requests, so that load balancers
// notice. Requests under way then get SHUTDOWN_TIMEOUT. When hurry ends, Serve ends
// at once. It returns ErrCut if requests were cut.
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
	running.Go(func() { a.secrets.Run(background) })
	if a.signIn.sessions != nil {
		running.Go(func() { a.followRedis(background, a.signIn.sessions) })
	}
	if a.notices != nil {
		running.Go(func() { a.notices.Run(background) })
	}
	if a.signIn.keys != nil {
		running.Go(func() { a.signIn.keys.Run(background) })
	}
	if a.signIn.oidc != nil {
		running.Go(func() { a.signIn.oidc.Run(background) })
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
	if a.config.CustomerSource == "database" {
		unlinks := customer.UnlinkFollower{Store: a.store, Links: a.caches.links}
		running.Go(func() { unlinks.Run(background) })
	}

	failed := make(chan error, 2)
	for _, s := range []*listener.Server{a.public, a.admin} {
		go func() { failed <- s.Serve() }()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	case <-hurry.Done():
	}
	return a.drain(hurry)
}

// end closes the stores and the work in the background. A store that hangs does
// not hold up the end of the process.
func (a *App) end(closeAll func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		closeAll()
	}()
	select {
	case <-ended:
	case <-time.After(endWithin):
		a.log.Warn().Msg("the stores did not close in time")
	}
}

// close closes everything that was opened, in reverse order.
func (a *App) close() {
	for _, s := range []*listener.Server{a.admin, a.public} {
		if s != nil {
			s.Close()
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
	a.closeTracing()
	if a.egress != nil {
		a.egress.CloseIdleConnections()
	}
}
