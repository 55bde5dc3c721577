package session

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/ratelimit"
)

// Observed counts the requests to a store.
type Observed struct {
	store    Store
	requests *prometheus.CounterVec // operation, outcome
}

// Observe wraps a store to count its requests.
func Observe(s Store, r prometheus.Registerer) *Observed {
	o := &Observed{s, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dropgate_session_store_requests_total",
		Help: "Requests to the session store by operation (start, find, end) and outcome: ok, none (no such session), used (a sign-in or logout token was repeated), logged_out (a logout followed the start of the sign-in), limited (too many requests), canceled or unavailable.",
	}, []string{"operation", "outcome"})}
	r.MustRegister(o.requests)
	return o
}

// Start implements Store.
func (o *Observed) Start(ctx context.Context, key Key, s Stored, by SignIn) (Ended, error) {
	ended, err := o.store.Start(ctx, key, s, by)
	o.count("start", err)
	return ended, err
}

// Find implements Store.
func (o *Observed) Find(ctx context.Context, key Key, touch Touch, charge *ratelimit.Charge) (Stored, error) {
	s, err := o.store.Find(ctx, key, touch, charge)
	o.count("find", err)
	return s, err
}

// End implements Store.
func (o *Observed) End(ctx context.Context, sel Selector) ([]Stored, error) {
	ended, err := o.store.End(ctx, sel)
	o.count("end", err)
	return ended, err
}

func (o *Observed) count(operation string, err error) {
	outcome := "unavailable"
	switch {
	case err == nil:
		outcome = "ok"
	case errors.Is(err, ErrNone):
		outcome = "none"
	case errors.Is(err, ErrUsed):
		outcome = "used"
	case errors.Is(err, ErrLoggedOut):
		outcome = "logged_out"
	case errors.Is(err, context.Canceled):
		outcome = "canceled"
	case errors.As(err, new(*ratelimit.ExceededError)):
		outcome = "limited"
	}
	o.requests.WithLabelValues(operation, outcome).Inc()
}
