package customer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/latency"
	"dropgate/internal/tracing"
)

// Source finds a user's Customer. Implementations: [Claim], [LinkSource], [Lookup],
// [Query] and [CachedSource]. A Claim is never cached: its answer is part of the
// sign-in, and the next sign-in may differ.
type Source interface {
	// Customer returns the user's Customer, clienttoken.ErrNoCustomer, a
	// *clienttoken.Failure, or the error of ctx.
	Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error)
}

// StatusSource reads a Customer's status. Implementations: [WebhookStatus] and
// [DwollaStatus].
type StatusSource interface {
	// Status returns the Customer's status, or "" if the source does not know it. An
	// error is a *clienttoken.Failure or that of ctx.
	Status(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error)
}

// DirectoryConfig configures a Directory. All fields but Statuses and Notifier are
// required.
type DirectoryConfig struct {
	Source Source
	Owners OwnerLister
	// Statuses are asked in this order: put the cheapest first. Without any, only
	// Dwolla refuses inactive Customers.
	Statuses []StatusSource
	// Notifier receives every answer. It may be nil.
	Notifier   *ChangeNotifier
	Registerer prometheus.Registerer
}

// Directory implements clienttoken.Directory with a source, status sources and
// Dwolla's lists of owners.
type Directory struct {
	source   Source
	owners   *ownerLists
	statuses []StatusSource
	notifier *ChangeNotifier
	requests *prometheus.CounterVec // outcome
	duration prometheus.Observer
}

// NewDirectory returns a directory and registers its metrics.
func NewDirectory(c DirectoryConfig) *Directory {
	duration := prometheus.NewHistogram(latency.Call("dropgate_directory_duration_seconds",
		"Time of a lookup of a user's Customer and its status, cached ones included."))
	d := &Directory{
		duration: duration,
		source:   c.Source,
		owners:   newOwnerLists(c.Owners, c.Notifier),
		statuses: c.Statuses,
		notifier: c.Notifier,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_directory_requests_total",
			Help: "Lookups of a user's Customer, cached ones included, by outcome: found, none, unavailable or canceled.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"found", "none", "unavailable", "canceled"} {
		d.requests.WithLabelValues(outcome)
	}
	c.Registerer.MustRegister(d.requests, duration)
	return d
}

// Customer implements clienttoken.Directory.
func (d *Directory) Customer(ctx context.Context, user clienttoken.User) (clienttoken.Customer, error) {
	ctx, span := tracing.Start(ctx, "directory")
	defer span.End()
	began := time.Now()
	customer, err := d.find(ctx, user)
	latency.Observe(ctx, d.duration, time.Since(began))
	failed(span, err)
	outcome := "unavailable"
	switch {
	case err == nil:
		outcome = "found"
	case errors.Is(err, clienttoken.ErrNoCustomer):
		outcome = "none"
	case errors.Is(err, context.Canceled):
		outcome = "canceled"
	}
	d.requests.WithLabelValues(outcome).Inc()
	return customer, err
}

// find asks the source, then the status sources until one calls the Customer inactive.
// A status source that fails is an outage: it might have said so.
func (d *Directory) find(ctx context.Context, user clienttoken.User) (clienttoken.Customer, error) {
	url, err := d.source.Customer(ctx, user)
	if err == nil || errors.Is(err, clienttoken.ErrNoCustomer) {
		// Before the statuses, which watches of that Customer wait for.
		d.notifier.userHas(user.ID, url)
	}
	if err != nil {
		return clienttoken.Customer{}, err
	}
	customer := clienttoken.Customer{URL: url}
	for _, source := range d.statuses {
		status, err := readStatus(ctx, source, url)
		switch {
		case err != nil:
			return clienttoken.Customer{}, fmt.Errorf("reading the status of Customer %s: %w", url.ID(), err)
		case status.Inactive():
			d.notifier.status(url, status)
			customer.Status = status
			return customer, nil
		case customer.Status == "":
			customer.Status = status
		}
	}
	return customer, nil
}

// HasBeneficialOwner implements clienttoken.Directory.
func (d *Directory) HasBeneficialOwner(ctx context.Context, customer clienttoken.CustomerURL, owner clienttoken.BeneficialOwnerURL) (bool, error) {
	ctx, span := tracing.Start(ctx, "owners")
	defer span.End()
	has, err := d.owners.have(ctx, customer, owner)
	failed(span, err)
	return has, err
}

// readStatus asks a source in a span of its own.
func readStatus(ctx context.Context, from StatusSource, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	ctx, span := tracing.Start(ctx, "status")
	defer span.End()
	status, err := from.Status(ctx, customer)
	failed(span, err)
	return status, err
}

// failed marks the span of an outage with its code. A user without a Customer is not an outage.
func failed(span tracing.Span, err error) {
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok {
		span.Fail(string(failure.Code))
	}
}
