package customer

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
)

// Source says which Customer is a user's: [Claim], [LinkSource] and [Lookup] are
// sources. Those that have to ask somebody remember the answer by the user's
// id. Claim does not: its answer is part of the sign-in, and another sign-in
// of the same user may say something else.
type Source interface {
	// Customer returns the user's Customer, clienttoken.ErrNoCustomer, a
	// *clienttoken.Failure, or the error of ctx.
	Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error)
}

// StatusSource says what state a Customer is in: [WebhookStatus] and [DwollaStatus] are
// such sources.
type StatusSource interface {
	// Status returns the Customer's status, empty where the source has not been
	// told, a *clienttoken.Failure, or the error of ctx.
	Status(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error)
}

// DirectoryConfig says what a directory is made of. All fields but Statuses
// and News are required.
type DirectoryConfig struct {
	Source Source
	Owners OwnerLister
	// Statuses are asked in this order, so the cheapest should be the first.
	// Where there are none, Dwolla alone refuses what it does not want.
	Statuses []StatusSource
	// News is told of every answer. It may be nil.
	Notifier   *ChangeNotifier
	Registerer prometheus.Registerer
}

// Directory is the clienttoken.Directory: it puts together what the sources
// say.
type Directory struct {
	source   Source
	owners   *ownerLists
	statuses []StatusSource
	notifier *ChangeNotifier
	requests *prometheus.CounterVec // outcome
}

// NewDirectory returns the directory.
func NewDirectory(c DirectoryConfig) *Directory {
	d := &Directory{
		source:   c.Source,
		owners:   newOwnerLists(c.Owners, c.Notifier),
		statuses: c.Statuses,
		notifier: c.Notifier,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_directory_requests_total",
			Help: "Questions which Customer is a user's, by outcome: found, none, unavailable or canceled. Cached answers count too.",
		}, []string{"outcome"}),
	}
	c.Registerer.MustRegister(d.requests)
	return d
}

// Customer implements clienttoken.Directory.
func (d *Directory) Customer(ctx context.Context, user clienttoken.User) (clienttoken.Customer, error) {
	customer, err := d.find(ctx, user)
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

// find asks the source, and then the statuses until one says that the Customer
// gets no tokens. One that cannot say is an outage: it might have said that.
func (d *Directory) find(ctx context.Context, user clienttoken.User) (clienttoken.Customer, error) {
	url, err := d.source.Customer(ctx, user)
	if err == nil || errors.Is(err, clienttoken.ErrNoCustomer) {
		// Before the statuses are asked: they are news to those who wait for a token
		// of that Customer.
		d.notifier.UserHas(user.ID, url)
	}
	if err != nil {
		return clienttoken.Customer{}, err
	}
	customer := clienttoken.Customer{URL: url}
	for _, source := range d.statuses {
		status, err := source.Status(ctx, url)
		switch {
		case err != nil:
			return clienttoken.Customer{}, fmt.Errorf("reading the status of Customer %s: %w", url.ID(), err)
		case status.Inactive():
			d.notifier.Status(url, status)
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
	return d.owners.have(ctx, customer, owner)
}
