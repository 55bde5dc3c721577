package session

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/latency"
	"dropgate/internal/ratelimit"
	"dropgate/internal/tracing"
)

// Observed counts and times the requests to a store.
type Observed struct {
	store    Store
	requests *prometheus.CounterVec // operation, outcome
	duration map[operation]prometheus.Observer
}

// operation is a method of a Store in metrics.
type operation string

const (
	opStart operation = "start"
	opFind  operation = "find"
	opEnd   operation = "end"
	opList  operation = "list"
)

// Observe wraps a store to count and time its requests.
func Observe(s Store, r prometheus.Registerer) *Observed {
	durations := prometheus.NewHistogramVec(latency.Store("dropgate_session_store_duration_seconds",
		"Time of a request to the session store, by operation. With Redis, find also charges the rate limits."), []string{"operation"})
	o := &Observed{store: s, duration: latency.Resolve(durations, opStart, opFind, opEnd, opList), requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dropgate_session_store_requests_total",
		Help: "Requests to the session store by operation (start, find, end, list) and outcome: ok, none (no such session), used (a sign-in or logout token was repeated), logged_out (a logout followed the start of the sign-in), limited (too many requests), canceled or unavailable.",
	}, []string{"operation", "outcome"})}
	for _, op := range []operation{opStart, opFind, opEnd, opList} {
		for _, outcome := range []string{"ok", "none", "used", "logged_out", "limited", "canceled", "unavailable"} {
			o.requests.WithLabelValues(string(op), outcome)
		}
	}
	r.MustRegister(o.requests, durations)
	if memory, ok := s.(*Memory); ok { // Redis would have to search for them
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dropgate_sessions",
			Help: "Sessions in the memory of this replica, with those that expired in the last minute. Absent with Redis.",
		}, memory.count))
	}
	return o
}

// Start implements Store.
func (o *Observed) Start(ctx context.Context, key Key, s Stored, by SignIn) (Ended, error) {
	ctx, span := tracing.Start(ctx, "session start")
	defer span.End()
	began := time.Now()
	ended, err := o.store.Start(ctx, key, s, by)
	o.observe(ctx, opStart, began, err)
	return ended, err
}

// Find implements Store.
func (o *Observed) Find(ctx context.Context, key Key, touch Touch, charge *ratelimit.Charge) (Stored, error) {
	ctx, span := tracing.Start(ctx, "session find")
	defer span.End()
	began := time.Now()
	s, err := o.store.Find(ctx, key, touch, charge)
	o.observe(ctx, opFind, began, err)
	return s, err
}

// End implements Store.
func (o *Observed) End(ctx context.Context, sel Selector) ([]Stored, error) {
	ctx, span := tracing.Start(ctx, "session end")
	defer span.End()
	began := time.Now()
	ended, err := o.store.End(ctx, sel)
	o.observe(ctx, opEnd, began, err)
	return ended, err
}

// List implements Store. It has no span: the admin listener has none.
func (o *Observed) List(ctx context.Context, who Selector) ([]Listed, error) {
	began := time.Now()
	all, err := o.store.List(ctx, who)
	o.observe(ctx, opList, began, err)
	return all, err
}

func (o *Observed) observe(ctx context.Context, op operation, began time.Time, err error) {
	latency.Observe(ctx, o.duration[op], time.Since(began))
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
	if outcome == "unavailable" {
		tracing.Current(ctx).Fail(outcome)
	}
	o.requests.WithLabelValues(string(op), outcome).Inc()
}
