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

// AdminConfig is what the admin listener needs. It is never exposed to the
// internet.
type AdminConfig struct {
	Version  string
	Ready    func(ctx context.Context) Readiness
	Gatherer prometheus.Gatherer
	// Operators may use the directory. Without one, or without Links, there is none.
	Operators Operators
	Hosts     AdminHosts
	API       clienttoken.API
	Links     Links
	Audit     audit.Trail
	Logger    zerolog.Logger
}

// Readiness is whether a replica can serve.
type Readiness struct {
	// Reason is what keeps it from serving: its own state and its own stores,
	// never Dwolla or the identity provider. A dependency that all replicas share
	// must not take all of them out of service at once. Empty: nothing does.
	Reason string
	// Missing is all that is away, also what readiness does not depend on.
	Missing []Missing
}

// Missing is something that is away. Neither word holds a secret.
type Missing struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// Links is the directory as its operators see it.
type Links interface {
	LinkReader
	LinkWriter
}

// readyWithin bounds the readiness checks.
const readyWithin = 2 * time.Second

type status struct {
	Status  string    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Missing []Missing `json:"missing,omitempty"`
}

// NewAdmin returns the handler of the admin listener.
func NewAdmin(c AdminConfig) http.Handler {
	h := &handler{
		Config:   Config{Audit: c.Audit, Logger: c.Logger},
		validate: newValidator(),
		metrics:  newMetrics(prometheus.NewRegistry()), // those of the public listener are about users

		intrusions: newIntrusions(),
	}
	r := chi.NewRouter()
	r.Use(middleware.GetHead, h.ownHosts(c.Hosts))
	r.Get("/livez", func(w http.ResponseWriter, _ *http.Request) {
		_ = writeJSON(w, http.StatusOK, status{Status: "live"})
	})
	r.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		now := c.Ready(ctx)
		if now.Reason != "" {
			_ = writeJSON(w, http.StatusServiceUnavailable, status{"not ready", now.Reason, now.Missing})
			return
		}
		_ = writeJSON(w, http.StatusOK, status{Status: "ready", Missing: now.Missing})
	})
	r.Get("/version", func(w http.ResponseWriter, _ *http.Request) {
		_ = writeJSON(w, http.StatusOK, map[string]string{"version": c.Version})
	})
	if c.Links != nil && len(c.Operators) > 0 {
		c.directory(h, r)
	}
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{}))
	return r
}

// directory adds the routes of the directory. They answer and log as the public
// ones do.
func (c AdminConfig) directory(h *handler, r chi.Router) {
	around := r.With(h.observed, securityHeaders, h.recovered)
	around.With(audited(audit.Directory)).Get("/customers", h.operator(c.Operators, h.listLinks(c.Links)))
	around.With(audited(audit.Directory)).Get("/customers/{user}", h.operator(c.Operators, h.showLink(c.Links)))
	around.With(audited(audit.Link)).Put("/customers/{user}", h.operator(c.Operators, h.putLink(c.API, c.Links, c.Links)))
	around.With(audited(audit.Unlink)).Delete("/customers/{user}", h.operator(c.Operators, deleteLink(c.Links)))
}
