package customer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dropgate/internal/clienttoken"
)

// StatusStore keeps what webhooks have said about Customers.
type StatusStore interface {
	// Status returns the last status of the Customer with that id, or "" where
	// no webhook has told it. An error wraps ctx.Err() when ctx ended first;
	// any other is a fault of the store.
	Status(ctx context.Context, customerID string) (string, error)
}

// WebhookStatus is the [StatusSource] of a service that gets Dwolla's webhooks.
// It remembers what the store says, "not told" included, for no longer than
// the sources remember a link: a suspension that another replica was told of
// is effective here within that time, and one that this replica was told of at
// once ([WebhookStatus.Forget]).
type WebhookStatus struct {
	store StatusStore
	known *cache[clienttoken.CustomerStatus]
}

// NewWebhookStatus returns a source that remembers for life; zero: not at all.
func NewWebhookStatus(store StatusStore, life time.Duration) *WebhookStatus {
	return &WebhookStatus{store: store, known: newCache[clienttoken.CustomerStatus](life)}
}

// Status implements [StatusSource].
func (k *WebhookStatus) Status(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	return k.known.get(ctx, customer.ID(), func(ctx context.Context) (clienttoken.CustomerStatus, error) {
		bounded, cancel := context.WithTimeout(ctx, storePatience)
		defer cancel()
		status, err := k.store.Status(bounded, customer.ID())
		if err != nil {
			return "", storeFault(ctx, err)
		}
		return clienttoken.CustomerStatus(status), nil
	})
}

// Forget makes the next question one to the store. It is for whoever has just
// written a status, and has to be called after the write.
func (k *WebhookStatus) Forget(customer clienttoken.CustomerURL) { k.known.drop(customer.ID()) }

// Customers are the Customers at Dwolla.
type CustomerReader interface {
	// GetCustomer reads a Customer. An error wraps clienttoken.ErrUnknownCustomer,
	// or is a *clienttoken.Failure, or that of ctx.
	GetCustomer(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.Customer, error)
}

// DwollaStatus is the [StatusSource] of a service that gets no webhooks: it asks
// Dwolla, at most once in each interval for each of the Customers that were
// asked about last (see cache for how many), however many callers there are. A
// question that failed is not repeated for rereadRest, and nobody gets a token
// in that time.
type DwollaStatus struct {
	dwolla CustomerReader
	known  *cache[clienttoken.CustomerStatus]
}

// rereadRest keeps callers who try again from asking a Dwolla that is in
// trouble on top of everything else, and is too short for a person to notice.
const rereadRest = 3 * time.Second

var errNoStatus = errors.New("an answer without a status")

// NewDwollaStatus returns a source that asks again after each interval; zero: always.
func NewDwollaStatus(dwolla CustomerReader, interval time.Duration) *DwollaStatus {
	known := newCache[clienttoken.CustomerStatus](interval)
	known.rest = rereadRest
	return &DwollaStatus{dwolla: dwolla, known: known}
}

// Status implements [StatusSource].
func (r *DwollaStatus) Status(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	return r.known.get(ctx, customer.ID(), func(ctx context.Context) (clienttoken.CustomerStatus, error) {
		return r.ask(ctx, customer)
	})
}

// Forget makes the next question one to Dwolla. It is for whoever has just been
// told that the status is another one.
func (r *DwollaStatus) Forget(customer clienttoken.CustomerURL) { r.known.drop(customer.ID()) }

// ask asks Dwolla. A Customer that Dwolla does not know gets no tokens: they
// would be another application's, or another environment's.
func (r *DwollaStatus) ask(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	got, err := r.dwolla.GetCustomer(ctx, customer)
	switch {
	case errors.Is(err, clienttoken.ErrUnknownCustomer):
		return "", &clienttoken.Failure{
			Code:   clienttoken.UpstreamError,
			Err:    fmt.Errorf("asking Dwolla for its status: %w", err),
			Remedy: "a user is linked to Customer " + customer.ID() + ", which this application does not have at Dwolla: mend the link, or check DWOLLA_ENVIRONMENT and DWOLLA_CLIENT_ID",
		}
	case err != nil:
		return "", fmt.Errorf("asking Dwolla for its status: %w", err)
	case got.Status == "":
		return "", &clienttoken.Failure{Code: clienttoken.UpstreamError, Err: errNoStatus}
	}
	return got.Status, nil
}
