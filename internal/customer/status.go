package customer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
)

// StatusStore stores the statuses in webhook events.
type StatusStore interface {
	// Status returns the Customer's last status, or "" if no webhook has stated one.
	// If ctx ends first, the error wraps ctx.Err(). Any other error is an outage of
	// the store.
	Status(ctx context.Context, customerID string) (string, error)
}

// WebhookStatus reads the status that webhooks have stored, and caches it, including
// "". A suspension takes effect at once on the replica that settles its webhook
// ([WebhookStatus.Forget]). On others it does so with their own Forget, or within
// the cache's lifetime.
type WebhookStatus struct {
	store StatusStore
	known *cache[clienttoken.CustomerStatus]
}

// NewWebhookStatus returns a source that caches statuses for life. 0: no caching.
func NewWebhookStatus(store StatusStore, life time.Duration) *WebhookStatus {
	return &WebhookStatus{store: store, known: newCache[clienttoken.CustomerStatus](life)}
}

// Status implements [StatusSource].
func (w *WebhookStatus) Status(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	return w.known.get(ctx, customer.ID(), func(ctx context.Context) (clienttoken.CustomerStatus, error) {
		bounded, cancel := context.WithTimeout(ctx, storePatience)
		defer cancel()
		status, err := w.store.Status(bounded, customer.ID())
		if err != nil {
			return "", storeFault(ctx, err)
		}
		return clienttoken.CustomerStatus(status), nil
	})
}

// Forget drops the Customer's cached status. Call it after storing a new one.
func (w *WebhookStatus) Forget(customer clienttoken.CustomerURL) { w.known.drop(customer.ID()) }

// Recheck reads the Customer's status if requests with this Customer wait for Dwolla,
// and notifies those requests. Call it after Forget.
func (w *WebhookStatus) Recheck(ctx context.Context, customer clienttoken.CustomerURL, n *ChangeNotifier) {
	recheck(ctx, w, customer, n)
}

func recheck(ctx context.Context, from StatusSource, customer clienttoken.CustomerURL, n *ChangeNotifier) {
	if !n.watchesCustomer(customer) {
		return
	}
	if status, err := from.Status(ctx, customer); err == nil {
		n.status(customer, status)
	}
}

// ForgetAll drops all cached statuses.
func (w *WebhookStatus) ForgetAll() { w.known.clear() }

// DwollaCustomers reads Customers from Dwolla.
type DwollaCustomers interface {
	// GetCustomer reads a Customer. An error wraps clienttoken.ErrUnknownCustomer, or
	// is a *clienttoken.Failure or that of ctx.
	GetCustomer(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.Customer, error)
}

// DwollaStatus reads the status from Dwolla, for a service without webhooks. It asks
// at most once per interval and cached Customer, whatever the number of callers. A
// failed read is repeated after failedReadLife, and until then the Customer gets no
// tokens.
type DwollaStatus struct {
	// Changed takes each newly inactive Customer, and each one active again, for other
	// replicas. It may be nil.
	Changed func(customer clienttoken.CustomerURL)

	dwolla DwollaCustomers
	known  *cache[clienttoken.CustomerStatus]
	// inactive holds the Customers with an inactive last status. Forget keeps them, or
	// two replicas would send each other the same news for ever.
	inactive *bytecache.Cache[string, struct{}]
}

// The bounds of DwollaStatus.inactive.
const (
	maxInactive  = 1 << 18 // bytes
	inactiveLife = 7 * 24 * time.Hour
)

// failedReadLife spares a failing Dwolla from retries. People hardly notice it.
const failedReadLife = 3 * time.Second

var errNoStatus = errors.New("the answer has no status")

// NewDwollaStatus returns a source that caches statuses for interval. 0: no caching.
func NewDwollaStatus(dwolla DwollaCustomers, interval time.Duration) *DwollaStatus {
	known := newCache[clienttoken.CustomerStatus](interval)
	known.errorLife = failedReadLife
	inactive := bytecache.New[string, struct{}](bytecache.Config{MaxBytes: maxInactive, Now: time.Now})
	return &DwollaStatus{dwolla: dwolla, known: known, inactive: inactive}
}

// Status implements [StatusSource].
func (d *DwollaStatus) Status(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	return d.known.get(ctx, customer.ID(), func(ctx context.Context) (clienttoken.CustomerStatus, error) {
		status, err := d.ask(ctx, customer)
		if err == nil {
			d.note(customer, status)
		}
		return status, err
	})
}

// note compares a status with the last one, and announces a change that matters.
func (d *DwollaStatus) note(customer clienttoken.CustomerURL, status clienttoken.CustomerStatus) {
	_, was := d.inactive.Get(customer.ID())
	if status.Inactive() {
		d.inactive.Add(customer.ID(), struct{}{}, len(customer.ID()), time.Now().Add(inactiveLife))
	} else {
		d.inactive.Remove(customer.ID())
	}
	if was != status.Inactive() && d.Changed != nil {
		d.Changed(customer)
	}
}

// Recheck reads the Customer's status if requests with this Customer wait for Dwolla,
// and notifies those requests. Call it after Forget.
func (d *DwollaStatus) Recheck(ctx context.Context, customer clienttoken.CustomerURL, n *ChangeNotifier) {
	recheck(ctx, d, customer, n)
}

// Forget drops the Customer's cached status. Call it after a webhook about a new one.
func (d *DwollaStatus) Forget(customer clienttoken.CustomerURL) { d.known.drop(customer.ID()) }

// ForgetAll drops all cached statuses.
func (d *DwollaStatus) ForgetAll() { d.known.clear() }

// ask reads the status. A Customer unknown to Dwolla gets no tokens: it belongs to
// another application or environment.
func (d *DwollaStatus) ask(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.CustomerStatus, error) {
	got, err := d.dwolla.GetCustomer(ctx, customer)
	switch {
	case errors.Is(err, clienttoken.ErrUnknownCustomer):
		return "", &clienttoken.Failure{
			Code:   clienttoken.UpstreamError,
			Err:    fmt.Errorf("reading the Customer's status: %w", err),
			Remedy: "a user is linked to Customer " + customer.ID() + ", which Dwolla does not know: correct the link, or check DWOLLA_ENVIRONMENT and DWOLLA_CLIENT_ID",
		}
	case err != nil:
		return "", fmt.Errorf("reading the Customer's status: %w", err)
	case got.Status == "":
		return "", &clienttoken.Failure{Code: clienttoken.UpstreamError, Err: errNoStatus}
	}
	return got.Status, nil
}
