package customer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dropgate/internal/clienttoken"
)

// Why a link was not made. Nothing was changed.
var (
	ErrUserLinked     = errors.New("the user is linked to another Customer")
	ErrCustomerLinked = errors.New("the Customer is linked to another user")
)

// Store keeps the links between users and Customers: one Customer per user and
// one user per Customer at every moment, however many callers and processes
// write at once. User ids are compared byte by byte, Customer ids (UUIDs)
// without regard to letter case.
//
// What a method returned nil for is on disk and survives a crash. When ctx
// ends first, the error wraps ctx.Err(), and a write may or may not have
// happened; asking again is safe. Any other error is a fault of the store.
type Store interface {
	// Customer returns the id of the user's Customer in lower case, or
	// clienttoken.ErrNoCustomer.
	Customer(ctx context.Context, userID string) (customerID string, err error)
	// Link makes the Customer the user's own. It does nothing when it is that
	// already, and returns ErrUserLinked when the user has another Customer,
	// else ErrCustomerLinked when another user has this one.
	Link(ctx context.Context, userID, customerID string) error
	// Unlink frees the user and the Customer. It does nothing when the user
	// has none.
	Unlink(ctx context.Context, userID string) error
}

// storeRetryAfter is when to ask a store that failed again: long enough for a
// full disk or a fail-over to be noticed by nobody but us, short enough for a
// person who waits.
const storeRetryAfter = 5 * time.Second

// Links is the source of an application that leaves the links to this
// service. Both fields are required.
type Links struct {
	API   clienttoken.API
	Store Store
}

// Customer returns the Customer that the user is linked to, or
// clienttoken.ErrNoCustomer. An error that is neither that nor the end of ctx
// is a *clienttoken.Failure.
func (l Links) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	id, err := l.Store.Customer(ctx, user.ID)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	}
	if err != nil {
		return clienttoken.CustomerURL{}, storeFault(ctx, err)
	}
	customer, err := clienttoken.ParseCustomerID(l.API, id)
	if err != nil {
		return clienttoken.CustomerURL{}, storeFault(ctx, fmt.Errorf("the user's row: %w", err))
	}
	return customer, nil
}

// Link makes customer the user's own; see [Store] for ErrUserLinked and
// ErrCustomerLinked. Whether the user may have it has to be known by then:
// nothing is checked here but that customer is one of the API's.
func (l Links) Link(ctx context.Context, userID string, customer clienttoken.CustomerURL) error {
	// Only the id is stored. A Customer of another environment would come back
	// as one of this one.
	if own, err := clienttoken.ParseCustomerID(l.API, customer.ID()); err != nil || own != customer {
		return fmt.Errorf("%.100q is not a Customer of %s", customer, l.API.Root())
	}
	err := l.Store.Link(ctx, userID, customer.ID())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUserLinked), errors.Is(err, ErrCustomerLinked):
		return fmt.Errorf("linking Customer %s: %w", customer.ID(), err)
	default:
		return storeFault(ctx, err)
	}
}

// Unlink frees the user and the Customer, and does nothing when there is none.
func (l Links) Unlink(ctx context.Context, userID string) error {
	if err := l.Store.Unlink(ctx, userID); err != nil {
		return storeFault(ctx, err)
	}
	return nil
}

// storeFault tells a caller who went away from a store that did not work: the
// first is nobody's outage.
func storeFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("asking the store: %w", ctx.Err())
	}
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: storeRetryAfter, Err: err}
}
