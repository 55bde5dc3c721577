package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"dropgate/internal/clienttoken"
)

// metadataCache holds the metadata of one provider. A KeySet that reads the
// discovery document refreshes it. Otherwise the first sign-in fetches it, and
// later ones refresh it in the background once it is older than metadataLife.
// During an outage the last good metadata stays. Fetches back off exponentially,
// and try again at once when the provider's keys arrive.
type metadataCache struct {
	issuer    string
	address   string // of the discovery document; empty for the usual one
	documents documents
	waiters   waitLimit // requests waiting for the first fetch
	flight    singleflight.Group

	mu      sync.Mutex
	current providerMetadata
	expires time.Time     // of current; zero if there is none yet
	fault   error         // of the last fetch
	backOff time.Duration // after the last failure
	nextTry time.Time     // no fetch starts before
	fetched func(providerMetadata)
}

const (
	metadataLife = time.Hour
	minBackOff   = time.Second
	maxBackOff   = 30 * time.Second
)

var errNotDiscovered = errors.New("its discovery document has not been fetched yet")

// get returns the metadata, or a *clienttoken.Failure until a first fetch
// succeeds.
func (c *metadataCache) get(ctx context.Context) (providerMetadata, error) {
	if m, ok := c.load(); ok {
		if c.due() {
			c.flight.DoChan("", c.fetch)
		}
		return m, nil
	}
	if c.waiters.enter() {
		err := waitFor(ctx, c.flight.DoChan("", c.fetch))
		c.waiters.leave()
		if err != nil {
			return providerMetadata{}, err
		}
	}
	if m, ok := c.load(); ok {
		return m, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return providerMetadata{}, &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: max(time.Until(c.nextTry), minBackOff),
		Err:        fmt.Errorf("the identity provider: %w", cmp.Or(c.fault, errNotDiscovered)),
	}
}

// load returns the metadata, if there is any.
func (c *metadataCache) load() (providerMetadata, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current, !c.expires.IsZero()
}

// due reports whether the metadata is old or missing and no pause is left.
func (c *metadataCache) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return !now.Before(c.expires) && !now.Before(c.nextTry)
}

// fetch fetches the metadata if that is due. It runs in a flight of its own, so
// no caller's cancellation ends it.
func (c *metadataCache) fetch() (any, error) {
	if !c.due() {
		return nil, nil //nolint:nilnil // the caller looks into the cache
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	if m, err := c.refresh(ctx); err != nil || !m.signsIn() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.backOff = min(max(2*c.backOff, minBackOff), maxBackOff)
		c.nextTry = time.Now().Add(c.backOff)
	}
	return nil, nil //nolint:nilnil // likewise
}

// refresh reads the discovery document. It caches metadata with the endpoints for
// a sign-in.
func (c *metadataCache) refresh(ctx context.Context) (providerMetadata, error) {
	m, err := c.documents.readMetadata(ctx, c.issuer, c.address)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.fault = err
		return m, err
	case !m.signsIn():
		c.fault = errNoEndpoints()
	default:
		c.current, c.expires, c.fault, c.backOff = m, time.Now().Add(metadataLife), nil, 0
	}
	if c.fetched != nil {
		c.fetched(m)
	}
	return m, nil
}

// lastFault returns the error of the last fetch, or nil.
func (c *metadataCache) lastFault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// onFetch makes the cache call f with each new document.
func (c *metadataCache) onFetch(f func(providerMetadata)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetched = f
}

// errNoEndpoints is the fault of a document that serves only for its keys.
func errNoEndpoints() *MisfitError {
	return &MisfitError{noEndpoints, "its discovery document names no authorization_endpoint or token_endpoint: it describes no provider for sign-ins"}
}

// signsIn reports whether users can sign in with this metadata.
func (m providerMetadata) signsIn() bool {
	return m.AuthorizationEndpoint != "" && m.TokenEndpoint != ""
}

// retryNow ends the current pause: the provider answers again.
func (c *metadataCache) retryNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextTry = time.Time{}
}
