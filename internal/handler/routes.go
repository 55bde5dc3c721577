package handler

import (
	"context"
	"fmt"
	"html/template"
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
)

// Webhooks takes in what Dwolla tells.
type Webhooks interface {
	// Receive keeps a webhook for later, once its signature has been checked
	// against the body. The error is a *clienttoken.Refusal, a
	// *clienttoken.Failure when it cannot be kept now, or that of ctx.
	Receive(ctx context.Context, signature string, body []byte) error
}

// Config is what the public side of the service needs. All fields but OIDC,
// Webhooks, Limits, ProxyHeader and the two lists are required.
type Config struct {
	// BasePath is put before every route: empty, or "/dropgate" without a slash
	// at the end.
	BasePath    string
	Environment clienttoken.Environment
	Vendor      *clienttoken.Vendor
	Auth        *auth.Chain
	OIDC        *auth.OIDC // nil without the mode oidc: then nobody signs in here
	Webhooks    Webhooks   // nil: Dwolla sends none here
	// AllowedOrigins are the exact origins of other sites whose pages may use
	// the service with credentials; empty: only pages of its own origin.
	AllowedOrigins []string
	// TrustedProxies are the peers whose X-Forwarded-For and X-Request-Id
	// count; empty: nobody's.
	TrustedProxies []netip.Prefix
	// ProxyHeader is where an authenticating proxy names the user; empty without
	// the mode proxy. No page may send it.
	ProxyHeader string
	Limits      *ratelimit.Limiter // nil: everybody may ask as often as they like
	OpenAPI     []byte             // what GET /openapi.yaml answers
	Now         func() time.Time
	Audit       audit.Trail
	Logger      zerolog.Logger
	Registerer  prometheus.Registerer
}

type handler struct {
	Config

	protection *http.CrossOriginProtection
	validate   *validator.Validate
	errorPage  *template.Template
	metrics    *metrics

	notices   *ratelimit.Failures // bad webhooks and logout tokens
	callbacks *ratelimit.Failures // codes that the provider refused

	proxyWarning     sync.Once
	forwardedWarning sync.Once
	intrusions       *intrusions // nil but for the directory
}

// How often one address may send what costs us, or the provider, for nothing.
// Good notices of servers have no limit, since none may be lost.
const (
	badNotices   = 600 // in a minute
	badCallbacks = 20  // in a minute
)

// New returns the public side of the service. An error means that an allowed
// origin is none.
func New(c Config) (http.Handler, error) {
	h := &handler{
		Config:     c,
		protection: http.NewCrossOriginProtection(),
		validate:   newValidator(),
		errorPage:  newErrorPage(),
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
	r.Use(middleware.GetHead, h.observed, securityHeaders, h.cors(), h.recovered)
	r.NotFound(h.serve(notFound))
	r.MethodNotAllowed(h.serve(methodNotAllowed(r)))

	r.With(audited(audit.ClientToken), h.sameOrigin).Post(c.BasePath+"/client-tokens", h.serve(h.vend))
	r.With(h.sameOrigin).Get(c.BasePath+"/session", h.serve(h.session))
	if c.Vendor.Enrollment != nil {
		r.With(audited(audit.Link), h.sameOrigin).Put(c.BasePath+"/session/customer", h.serve(h.linkCustomer))
	}
	if c.OIDC != nil {
		r.With(h.ownOrPage).Get(c.BasePath+"/auth/login", h.serve(h.login))
		r.With(audited(audit.SignIn), h.ownOrPage).Get(c.BasePath+"/auth/callback", h.serve(h.callback))
		r.With(h.sameOrigin, h.limited).Post(c.BasePath+"/auth/logout", h.serve(h.logout))
		r.With(h.sameOrigin).Post(c.BasePath+"/auth/backchannel-logout", h.serve(h.backChannelLogout))
	}
	if c.Webhooks != nil {
		r.With(h.sameOrigin).Post(c.BasePath+"/webhooks/dwolla", h.serve(h.webhook))
	}
	r.With(h.ownOrPage, h.limited).Get(c.BasePath+"/openapi.yaml", h.openAPI)
	return r, nil
}

// endpoint answers a request, or returns the error to answer it with.
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
	w.Header().Set("Content-Length", strconv.Itoa(len(h.OpenAPI))) // for HEAD, too
	_, _ = w.Write(h.OpenAPI)
}
