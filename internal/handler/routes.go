package handler

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-playground/validator/v10"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
	"dropgate/internal/tracing"
)

// Webhooks accepts Dwolla's webhook events.
type Webhooks interface {
	// Receive checks the signature of body and stores the event for later. The
	// error is a *clienttoken.Refusal, a *clienttoken.Failure if the event cannot
	// be stored now, or that of ctx.
	Receive(ctx context.Context, signature string, body []byte) error
}

// Config configures the public listener. OIDC, Webhooks, Limits, ProxyHeader and the
// two lists are optional.
type Config struct {
	// BasePath is the prefix of every route, such as "/dropgate", without a final
	// slash. It may be empty.
	BasePath    string
	Environment clienttoken.Environment
	Vendor      *clienttoken.Vendor
	Auth        *auth.Chain
	OIDC        *auth.OIDC // nil without the mode oidc
	Webhooks    Webhooks   // nil: no webhooks
	// AllowedOrigins are the exact other origins whose pages may use the service
	// with credentials.
	AllowedOrigins []string
	// Embedded lets pages of the allowed origins frame the pages of a sign-in.
	Embedded bool
	// TrustedProxies are the peers whose X-Forwarded-For, X-Request-Id and
	// traceparent count.
	TrustedProxies []netip.Prefix
	// ProxyHeader is the header in which an authenticating proxy names the user, or
	// empty without the mode proxy. No page may send it.
	ProxyHeader string
	Limits      *ratelimit.Limiter // nil: no rate limits
	OpenAPI     []byte             // the body of GET /openapi.yaml
	Script      []byte             // the body of GET /dropgate.js
	ScriptTypes []byte             // the body of GET /dropgate.d.ts
	Now         func() time.Time
	Audit       audit.Trail
	Tracer      *tracing.Tracer // nil: no spans
	Logger      zerolog.Logger
	Registerer  prometheus.Registerer
}

type handler struct {
	Config

	protection *http.CrossOriginProtection
	validate   *validator.Validate
	metrics    *metrics

	notices   *ratelimit.Failures // limits bad webhooks and logout tokens
	callbacks *ratelimit.Failures // limits codes that the provider refused

	proxyWarning     sync.Once
	forwardedWarning sync.Once
	badAdminTokens   *badAdminTokens // on the admin listener only
}

// Limits of invalid requests per address and minute: they cost us or the provider
// work. Valid webhooks and logout tokens have no limit, because none may be lost.
const (
	badNotices   = 600
	badCallbacks = 20
)

// New returns the handler of the public listener. It fails if an allowed origin is
// not a valid origin.
func New(c Config) (http.Handler, error) {
	h := &handler{
		Config:     c,
		protection: http.NewCrossOriginProtection(),
		validate:   newValidator(),
		metrics:    newMetrics(c.Registerer),
		notices:    ratelimit.NewFailures(ratelimit.Limit{N: badNotices, Window: time.Minute}, c.Now),
		callbacks:  ratelimit.NewFailures(ratelimit.Limit{N: badCallbacks, Window: time.Minute}, c.Now),
	}
	for _, origin := range c.AllowedOrigins {
		if err := h.protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("allowed origin: %w", err)
		}
	}
	r := chi.NewRouter()
	r.Use(middleware.GetHead, h.withRequestLog, securityHeaders, h.cors(), h.recoverPanic)
	r.NotFound(h.serve(noRoute))
	r.MethodNotAllowed(h.serve(wrongMethod(r)))

	r.With(auditedAs(audit.ClientToken), h.sameOrigin).Post(c.BasePath+"/client-tokens", h.serve(h.vend))
	r.With(h.sameOrigin).Get(c.BasePath+"/session", h.serve(h.session))
	r.With(h.sameOrigin).Post(c.BasePath+"/session", h.serve(h.keepAlive))
	if c.Vendor.Enrollment != nil {
		r.With(auditedAs(audit.Link), h.sameOrigin).Put(c.BasePath+"/session/customer", h.serve(h.linkCustomer))
	}
	if c.OIDC != nil {
		r.With(h.sameOriginOrNavigation).Get(c.BasePath+"/auth/login", h.serve(h.login))
		r.With(auditedAs(audit.SignIn), h.sameOriginOrReturn).Get(c.BasePath+"/auth/callback", h.serve(h.callback))
		r.With(h.sameOrigin, h.chargeAddress).Post(c.BasePath+"/auth/logout", h.serve(h.logout))
		r.With(h.sameOrigin).Post(c.BasePath+"/auth/backchannel-logout", h.serve(h.backChannelLogout))
	}
	if c.Webhooks != nil {
		r.With(h.sameOrigin).Post(c.BasePath+"/webhooks/dwolla", h.serve(h.webhook))
	}
	r.Get(c.BasePath+"/dropgate.js", h.script())
	r.Get(c.BasePath+"/dropgate.mjs", h.scriptModule())
	r.Get(c.BasePath+"/dropgate.d.ts", h.scriptTypes())
	r.With(h.sameOriginOrNavigation, h.chargeAddress).Get(c.BasePath+"/openapi.yaml", h.openAPI)
	if err := h.metrics.expect(r, c); err != nil {
		return nil, err
	}
	return r, nil
}

// endpoint responds to a request, or returns the error to respond with.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// serve turns an endpoint into a handler.
func (h *handler) serve(e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := e(w, r); err != nil {
			h.fail(w, r, err)
		}
	}
}

func (h *handler) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Content-Length", strconv.Itoa(len(h.OpenAPI))) // also for HEAD
	_, _ = w.Write(h.OpenAPI)
}
