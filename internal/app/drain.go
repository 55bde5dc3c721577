package app

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ErrCut says that the service stopped with requests under way. The log has their
// number and the reason.
var ErrCut = errors.New("requests were cut")

const (
	// idleDelays is how long a connection must be idle before the drain closes it,
	// in SHUTDOWN_DELAYs. Closing loses a request on its way. The longer the
	// connection was idle, the less likely one is.
	idleDelays = 3
	// cutWithin is how long requests that were cut may take to write their log lines.
	cutWithin = time.Second
	// endWithin is how long the stores and the work in the background may take to
	// end. cutWithin and endWithin fit into the reserve before Kubernetes kills.
	endWithin = 2 * time.Second
)

// drain lets requests finish, and cuts them after SHUTDOWN_TIMEOUT.
func (a *App) drain(hurry context.Context) error {
	a.log.Info().Dur("delay_ms", a.config.ShutdownDelay).Msg("stopping: no longer ready")
	a.draining.Store(true)
	select {
	case <-time.After(a.config.ShutdownDelay):
	case <-hurry.Done():
	}

	ctx, cancel := context.WithTimeout(hurry, a.config.ShutdownTimeout)
	defer cancel()
	if !a.public.Drain(ctx, idleDelays*a.config.ShutdownDelay) {
		reason := cutReason(hurry)
		if cut := a.public.Cut(cutWithin); cut > 0 {
			a.log.Error().Int("requests_cut", cut).Str("reason", reason).Msg("stopped, with requests under way")
			return ErrCut
		}
	}
	_ = a.admin.Shutdown(ctx) // a probe or a scrape may be cut
	a.log.Info().Int("requests_cut", 0).Msg("stopped")
	return nil
}

// cutReason says why the drain did not wait for requests.
func cutReason(hurry context.Context) string {
	if hurry.Err() != nil {
		return "a second signal"
	}
	return "SHUTDOWN_TIMEOUT has passed"
}

// closeWhileDraining asks clients to reconnect while the service drains, so that
// load balancers move to other replicas. Closing idle connections at once would
// lose requests.
func (a *App) closeWhileDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// net/http drops the Content-Length of a request with a chunked body. A
		// proxy that used it would take the rest of the body for a new request, so
		// the connection must end (RFC 9112, 6.1).
		if a.draining.Load() || len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
