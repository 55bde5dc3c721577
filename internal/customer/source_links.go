package customer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

// Store stores links: at most one Customer per user and one user per Customer,
// whatever callers and processes write concurrently. User ids are compared byte by
// byte, Customer ids (UUIDs) without letter case.
//
// A nil error means the write is on disk and survives a crash. If ctx ends first, the
// error wraps ctx.Err(), and the write may have happened; repeating it is safe. Any
// other error is an outage of the store.
type Store interface {
	// Customer returns the id of the user's Customer in lower case, or
	// clienttoken.ErrNoCustomer.
	Customer(ctx context.Context, userID string) (customerID string, err error)
	// Link links the Customer to the user. An existing equal link is no error. It
	// returns customerdb.ErrUserLinked if the user has another Customer, else
	// customerdb.ErrCustomerLinked if another user has this one.
	Link(ctx context.Context, userID, customerID string) error
	// Unlink removes the user's link, if there is one.
	Unlink(ctx context.Context, userID string) error
}

// storeRetryAfter is the Retry-After of a store outage. It outlasts a fail-over, but a
// person may still wait for it.
const storeRetryAfter = 5 * time.Second

// storePatience is the timeout of a read from the store.
const storePatience = 5 * time.Second

// LinkSource finds a user's Customer in the service's own database, and caches it.
// Changes on this replica take effect at once, others with [LinkSource.Forget] or
// within the cache's lifetime. Until then, two users may both have a Customer that
// an operator moved.
type LinkSource struct {
	Notifier *ChangeNotifier // receives every change made here; may be nil
	// Announce takes the user of every change made here, for other replicas. It may be
	// nil.
	Announce func(userID string)

	api   clienttoken.API
	store Store
	known *cache[clienttoken.CustomerURL] // by user id
}

// NewLinkSource returns a source on top of store. It caches links for life. 0: no
// caching.
func NewLinkSource(api clienttoken.API, store Store, life time.Duration) *LinkSource {
	return &LinkSource{api: api, store: store, known: newCache[clienttoken.CustomerURL](life)}
}

// Customer returns the user's linked Customer, or clienttoken.ErrNoCustomer. Any other
// error is a *clienttoken.Failure or that of ctx.
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

// Link links customer to the user; see [Store] for its errors. The caller must know
// that the user may have the Customer. Link only checks that it belongs to the API.
func (l *LinkSource) Link(ctx context.Context, userID string, customer clienttoken.CustomerURL) error {
	// The store keeps the id alone, so another environment's Customer would be read as
	// one of this environment.
	if own, err := clienttoken.ParseCustomerID(l.api, customer.ID()); err != nil || own != customer {
		return fmt.Errorf("%.100q is not a Customer of %s", customer, l.api.Root())
	}
	defer l.Changed(userID) // after an error the link may exist
	err := l.store.Link(ctx, userID, customer.ID())
	switch {
	case err == nil:
		l.Notifier.linked(userID, customer)
		return nil
	case errors.Is(err, customerdb.ErrUserLinked), errors.Is(err, customerdb.ErrCustomerLinked):
		return fmt.Errorf("linking Customer %s: %w", customer.ID(), err)
	default:
		return storeFault(ctx, err)
	}
}

// Unlink removes the user's link, if there is one.
func (l *LinkSource) Unlink(ctx context.Context, userID string) error {
	defer func() { // after an error the link may be gone
		l.Changed(userID)
		l.Notifier.userHas(userID, clienttoken.CustomerURL{})
	}()
	if err := l.store.Unlink(ctx, userID); err != nil {
		return storeFault(ctx, err)
	}
	return nil
}

// Changed drops the user's cached link, here and on other replicas. Call it after
// writing to the store directly.
func (l *LinkSource) Changed(userID string) {
	l.Forget(userID)
	if l.Announce != nil && userID != "" {
		l.Announce(userID)
	}
}

// Forget drops the user's cached link here. Call it after another replica changed it.
func (l *LinkSource) Forget(userID string) { l.known.drop(userID) }

// Recheck reads the user's link if a request of that user waits for Dwolla, and
// notifies that request. Call it after Forget.
func (l *LinkSource) Recheck(ctx context.Context, userID string) {
	if !l.Notifier.watches(userID) {
		return
	}
	customer, err := l.Customer(ctx, clienttoken.User{ID: userID})
	if err == nil || errors.Is(err, clienttoken.ErrNoCustomer) {
		l.Notifier.userHas(userID, customer)
	}
}

// ForgetAll drops all cached links.
func (l *LinkSource) ForgetAll() { l.known.clear() }

// storeFault distinguishes a caller who left from an outage of the store.
func storeFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("waiting for the store: %w", ctx.Err())
	}
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: storeRetryAfter, Err: err}
}
