package handler

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
)

// AdminConfig is what the admin listener needs. It is never exposed to the
// internet.
type AdminConfig struct {
	Version string
	// Ready reports what keeps this replica from serving: its own state and its
	// own stores, never Dwolla or the identity provider. A dependency that all
	// replicas share must not take all of them out of service at once.
	Ready    func(ctx context.Context) error
	Gatherer prometheus.Gatherer
	// Token opens the directory. Without one, or without Links, there is none.
	Token  clienttoken.Secret
	API    clienttoken.API
	Links  Links
	Audit  audit.Trail
	Logger zerolog.Logger
}

// Links is the directory as its operators see it.
type Links interface {
	LinkReader
	LinkWriter
}

// readyWithin bounds the readiness checks.
const readyWithin = 2 * time.Second

type status struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// NewAdmin returns the handler of the admin listener.
func NewAdmin(c AdminConfig) http.Handler {
	r := chi.NewRouter()
	r.Get("/livez", func(w http.ResponseWriter, _ *http.Request) {
		_ = writeJSON(w, http.StatusOK, status{Status: "live"})
	})
	r.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		if err := c.Ready(ctx); err != nil {
			_ = writeJSON(w, http.StatusServiceUnavailable, status{Status: "not ready", Reason: err.Error()})
			return
		}
		_ = writeJSON(w, http.StatusOK, status{Status: "ready"})
	})
	r.Get("/version", func(w http.ResponseWriter, _ *http.Request) {
		_ = writeJSON(w, http.StatusOK, map[string]string{"version": c.Version})
	})
	if c.Links != nil && !c.Token.IsZero() {
		c.directory(r)
	}
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{}))
	return r
}

// directory adds the routes of the directory. They answer and log as the public
// ones do; the metrics are about users and leave operators out.
func (c AdminConfig) directory(r chi.Router) {
	h := &handler{
		Config:   Config{Audit: c.Audit, Logger: c.Logger},
		validate: newValidator(),
		metrics:  newMetrics(prometheus.NewRegistry()),
	}
	around := r.With(h.observed, securityHeaders, h.recovered)
	around.Get("/customers", h.operator(c.Token, listLinks(c.Links)))
	around.Get("/customers/{user}", h.operator(c.Token, showLink(c.Links)))
	around.With(audited(audit.Link)).Put("/customers/{user}", h.operator(c.Token, h.putLink(c.API, c.Links, c.Links)))
	around.With(audited(audit.Unlink)).Delete("/customers/{user}", h.operator(c.Token, deleteLink(c.Links)))
}
