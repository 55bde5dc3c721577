package customer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
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
	// already, and returns customerdb.ErrUserLinked when the user has another Customer,
	// else customerdb.ErrCustomerLinked when another user has this one.
	Link(ctx context.Context, userID, customerID string) error
	// Unlink frees the user and the Customer. It does nothing when the user
	// has none.
	Unlink(ctx context.Context, userID string) error
}

// storeRetryAfter is when to ask a store that failed again: long enough for a
// full disk or a fail-over to be noticed by nobody but us, short enough for a
// person who waits.
const storeRetryAfter = 5 * time.Second

// storePatience bounds a question to the store that nobody waits for any more.
const storePatience = 5 * time.Second

// LinkSource is the source of an application that leaves the links to this
// service. It remembers who has which Customer for a while (see cache): a link
// that another replica or a command has removed is gone here within that time,
// and one that was removed here at once. So whoever gives the Customer of one
// user to another has to expect that both have it for that long.
type LinkSource struct {
	Notifier *ChangeNotifier // is told of every change here; may be nil

	api   clienttoken.API
	store Store
	known *cache[clienttoken.CustomerURL] // by user id
}

// NewLinkSource returns the source on top of store. It remembers links for life;
// zero: not at all.
func NewLinkSource(api clienttoken.API, store Store, life time.Duration) *LinkSource {
	return &LinkSource{api: api, store: store, known: newCache[clienttoken.CustomerURL](life)}
}

// Customer returns the Customer that the user is linked to, or
// clienttoken.ErrNoCustomer. An error that is neither that nor the end of ctx
// is a *clienttoken.Failure.
func (l *LinkSource) Customer(ctx context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	return l.known.get(ctx, user.ID, func(ctx context.Context) (clienttoken.CustomerURL, error) {
		return l.read(ctx, user.ID)
	})
}

func (l *LinkSource) read(ctx context.Context, userID string) (clienttoken.CustomerURL, error) {
	bounded, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	id, err := l.store.Customer(bounded, userID)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	}
	if err != nil {
		return clienttoken.CustomerURL{}, storeFault(ctx, err)
	}
	customer, err := clienttoken.ParseCustomerID(l.api, id)
	if err != nil {
		return clienttoken.CustomerURL{}, storeFault(ctx, fmt.Errorf("the user's row: %w", err))
	}
	return customer, nil
}

// Link makes customer the user's own; see [Store] for customerdb.ErrUserLinked and
// customerdb.ErrCustomerLinked. Whether the user may have it has to be known by then:
// nothing is checked here but that customer is one of the API's.
func (l *LinkSource) Link(ctx context.Context, userID string, customer clienttoken.CustomerURL) error {
	// Only the id is stored. A Customer of another environment would come back
	// as one of this one.
	if own, err := clienttoken.ParseCustomerID(l.api, customer.ID()); err != nil || own != customer {
		return fmt.Errorf("%.100q is not a Customer of %s", customer, l.api.Root())
	}
	defer l.Forget(userID) // an error may stand for a link that was made
	err := l.store.Link(ctx, userID, customer.ID())
	switch {
	case err == nil:
		l.Notifier.Linked(userID, customer)
		return nil
	case errors.Is(err, customerdb.ErrUserLinked), errors.Is(err, customerdb.ErrCustomerLinked):
		return fmt.Errorf("linking Customer %s: %w", customer.ID(), err)
	default:
		return storeFault(ctx, err)
	}
}

// Unlink frees the user and the Customer, and does nothing when there is none.
func (l *LinkSource) Unlink(ctx context.Context, userID string) error {
	defer func() { // an error may stand for a link that was removed
		l.Forget(userID)
		l.Notifier.UserHas(userID, clienttoken.CustomerURL{})
	}()
	if err := l.store.Unlink(ctx, userID); err != nil {
		return storeFault(ctx, err)
	}
	return nil
}

// Forget makes the next question about the user one to the store. It is for
// whoever has written to the store itself, and has to be called after that.
func (l *LinkSource) Forget(userID string) { l.known.drop(userID) }

// storeFault tells a caller who went away from a store that did not work: the
// first is nobody's outage.
func storeFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("asking the store: %w", ctx.Err())
	}
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: storeRetryAfter, Err: err}
}
