package app

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ErrCut says that requests were cut when the service stopped. The log says how
// many, and why.
var ErrCut = errors.New("requests were cut")

const (
	// idleDelays is how long a connection has to be idle before the drain closes
	// it, in SHUTDOWN_DELAYs. Its next request may be on its way at that moment,
	// and would be lost: the longer it has been idle, the less likely that is.
	idleDelays = 3
	// acceptWithin is how long connections are taken in that wait to be accepted
	// when the listener closes: as long as they come, but not when they never end.
	acceptWithin = time.Second
	// cutWithin is how long requests that were cut may take to leave their lines
	// in the log.
	cutWithin = time.Second
	// endWithin is how long the stores and the work in the background may take to
	// end. Both together fit into the reserve before Kubernetes kills.
	endWithin = 2 * time.Second
)

// drain ends the requests, by themselves if possible.
func (a *App) drain(hurry context.Context) error {
	a.log.Info().Dur("delay_ms", a.config.ShutdownDelay).Msg("stopping: no longer ready")
	a.draining.Store(true)
	select {
	case <-time.After(a.config.ShutdownDelay):
	case <-hurry.Done():
	}

	ctx, cancel := context.WithTimeout(hurry, a.config.ShutdownTimeout)
	defer cancel()
	if !a.public.drain(ctx, idleDelays*a.config.ShutdownDelay) {
		reason := a.impatience(hurry)
		if cut := a.public.cut(cutWithin); cut > 0 {
			a.log.Error().Int("requests_cut", cut).Str("reason", reason).Msg("stopped, with requests under way")
			return ErrCut
		}
	}
	_ = a.admin.http.Shutdown(ctx) // a probe or a scrape that is cut is nobody's loss
	a.log.Info().Int("requests_cut", 0).Msg("stopped")
	return nil
}

// impatience is why requests were not waited for.
func (a *App) impatience(hurry context.Context) string {
	if hurry.Err() != nil {
		return "a second signal"
	}
	return "SHUTDOWN_TIMEOUT has passed"
}

// drain takes in no more connections and waits until those that there are have
// no request under way and have been idle for as long as rest, or ctx ends. It
// reports whether none is left.
//
// It is not http.Server.Shutdown, which drops a request that it has read after
// it was called, and one that has arrived on a connection that was idle.
func (s *server) drain(ctx context.Context, rest time.Duration) bool {
	accepting, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	s.listener.finish(accepting)
	<-s.served // or one more could come
	return s.connections.leave(ctx, rest)
}

// cut ends all connections, waits for their requests to notice, and returns the
// number of those that had no answer.
func (s *server) cut(within time.Duration) int {
	s.connections.isCut()
	_ = s.http.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	s.connections.ended(ctx)
	return s.connections.wereCut()
}

// movingOn asks callers to connect anew while the service drains, so that a
// balancer that keeps connections open goes elsewhere by itself. Closing the
// idle ones at once would cut a request that is on its way on one of them.
func (a *App) movingOn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body in chunks may have had a Content-Length, too, which net/http has
		// removed; a proxy that went by it takes for a body what follows as a
		// request (RFC 9112, 6.1: the connection has to end).
		if a.draining.Load() || len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
