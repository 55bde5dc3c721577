package handler

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
)

// AdminConfig configures the admin listener, which is never exposed to the
// internet.
type AdminConfig struct {
	Version  string
	Commit   string
	Ready    func(ctx context.Context) Readiness
	Gatherer prometheus.Gatherer
	// Operators returns who may use the directory API and the sessions at this moment.
	// Without Operators, their routes do not exist, and without Links, those of the
	// directory.
	Operators func() Operators
	Hosts     AdminHosts
	API       clienttoken.API
	Links     Links
	// Sessions are nil without the mode oidc. SessionStore names their store.
	Sessions     Sessions
	SessionStore string
	Audit        audit.Trail
	Logger       zerolog.Logger
}

// Readiness says whether a replica can serve.
type Readiness struct {
	// Reason says why the replica cannot serve, or is empty. It never blames
	// Dwolla or the identity provider: an outage of a shared dependency must not
	// take every replica out of service.
	Reason string
	// Missing lists every unavailable dependency, even those without an effect on
	// readiness.
	Missing []Missing
	// Degraded describes faults of Dwolla, and of the identity provider's settings, for
	// information.
	Degraded []string
}

// Missing is an unavailable dependency. Neither field contains a secret.
type Missing struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// Links is the directory of user–Customer links, as operators use it.
type Links interface {
	LinkReader
	LinkWriter
}

// readyTimeout limits the time of the readiness checks.
const readyTimeout = 2 * time.Second

type status struct {
	Status  string    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Missing []Missing `json:"missing,omitempty"`

	Degraded []string `json:"degraded,omitempty"`
}

// NewAdmin returns the handler of the admin listener.
func NewAdmin(c AdminConfig) http.Handler {
	h := &handler{
		Config:   Config{Audit: c.Audit, Logger: c.Logger},
		validate: newValidator(),
		metrics:  newMetrics(prometheus.NewRegistry()), // not exported: the metrics of routes are about the public listener

		badAdminTokens: newBadAdminTokens(),
	}
	r := chi.NewRouter()
	r.Use(middleware.GetHead, h.requireOwnHost(c.Hosts))
	r.Get("/livez", func(w http.ResponseWriter, _ *http.Request) {
		_ = writeJSON(w, http.StatusOK, status{Status: "live"})
	})
	r.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		now := c.Ready(ctx)
		if now.Reason != "" {
			_ = writeJSON(w, http.StatusServiceUnavailable, status{"not ready", now.Reason, now.Missing, now.Degraded})
			return
		}
		_ = writeJSON(w, http.StatusOK, status{Status: "ready", Missing: now.Missing, Degraded: now.Degraded})
	})
	r.Get("/version", func(w http.ResponseWriter, _ *http.Request) {
		_ = writeJSON(w, http.StatusOK, map[string]string{"version": c.Version, "commit": c.Commit})
	})
	if c.Links != nil && c.Operators != nil {
		c.directory(h, r)
	}
	if c.Operators != nil {
		c.sessions(h, r)
	}
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	return r
}

// directory adds the routes of the directory API. They respond and log like the
// public routes.
func (c AdminConfig) directory(h *handler, r chi.Router) {
	around := r.With(h.withRequestLog, securityHeaders, h.recoverPanic)
	around.With(auditedAs(audit.Directory)).Get("/customers", h.requireOperator(c.Operators, h.listLinks(c.Links)))
	around.With(auditedAs(audit.Directory)).Get("/customers/{user}", h.requireOperator(c.Operators, h.showLink(c.Links)))
	around.With(auditedAs(audit.Link)).Put("/customers/{user}", h.requireOperator(c.Operators, h.putLink(c.API, c.Links, c.Links)))
	around.With(auditedAs(audit.Unlink)).Delete("/customers/{user}", h.requireOperator(c.Operators, deleteLink(c.Links)))
}
