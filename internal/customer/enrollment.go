package customer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/keyring"
)

// EnrollmentKeys make and prove correlationIds. The first key makes new ones, and all
// keys prove. To rotate, put a new key first, and remove the old one once no page
// still uses it.
type EnrollmentKeys struct {
	keys [][]byte
}

// ParseEnrollmentKeys parses a list of keys like [keyring.Parse].
func ParseEnrollmentKeys(list clienttoken.Secret) (EnrollmentKeys, error) {
	ring, err := keyring.Parse(list)
	if err != nil {
		return EnrollmentKeys{}, err
	}
	var k EnrollmentKeys
	for _, key := range ring.Keys() {
		k.keys = append(k.keys, []byte(key.Reveal()))
	}
	return k, nil
}

// correlationIDPrefix marks dropgate's correlationIds, next to the application's own.
const correlationIDPrefix = "dg1."

// correlationID returns the correlationId of a user's new Customer. It is stable,
// holds no personal data, keeps all 256 bits, and uses Dwolla's alphabet (a-z 0-9 - .
// _).
func correlationID(key []byte, userID string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("dropgate enrollment 1\x00" + userID))
	return correlationIDPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)))
}

// prove reports whether given is the user's correlationId, in constant time.
func (k EnrollmentKeys) prove(userID, given string) bool {
	proven := false
	for _, key := range k.keys {
		if hmac.Equal([]byte(correlationID(key, userID)), []byte(given)) {
			proven = true
		}
	}
	return proven
}

// Enrollment implements clienttoken.Enrollment: it links a Customer to the user whose
// correlationId the Customer carries (docs/decisions/0010).
type Enrollment struct {
	keys   atomic.Pointer[EnrollmentKeys]
	links  *LinkSource
	store  *customerdb.Database
	dwolla DwollaCustomers

	// flights shares concurrent attempts for one Customer: a page with several
	// components names it in several requests at once. Its cache lives for a
	// nanosecond.
	flights *cache[clienttoken.Customer]

	mu       sync.Mutex
	attempts *bytecache.Cache[string, *rate.Limiter] // by user
}

// The allowance of attempts per user. Each attempt costs a call to Dwolla, and a flow
// needs one. An evicted user gets a new allowance.
const (
	attemptsAtOnce = 10
	attemptEvery   = 10 * time.Second
	maxAttempts    = 1 << 20 // bytes of all limiters
	limiterBytes   = 128     // bytes of one limiter
)

// NewEnrollment returns an enrollment. The links must be stored in store.
func NewEnrollment(keys EnrollmentKeys, links *LinkSource, store *customerdb.Database, dwolla DwollaCustomers) *Enrollment {
	attempts := bytecache.New[string, *rate.Limiter](bytecache.Config{MaxBytes: maxAttempts, Now: time.Now})
	flights := newCache[clienttoken.Customer](time.Nanosecond) // caches nothing
	e := &Enrollment{links: links, store: store, dwolla: dwolla, flights: flights, attempts: attempts}
	e.Rotate(keys)
	return e
}

// Rotate replaces the keys.
func (e *Enrollment) Rotate(keys EnrollmentKeys) { e.keys.Store(&keys) }

// CorrelationID implements clienttoken.Enrollment.
func (e *Enrollment) CorrelationID(user clienttoken.User) string {
	return correlationID(e.keys.Load().keys[0], user.ID)
}

// Expect implements clienttoken.Enrollment. It stores the correlationId, because the
// webhook about the new Customer names no user. An open page may hold one of an
// earlier key, so it stores one per key.
func (e *Enrollment) Expect(ctx context.Context, user clienttoken.User) error {
	for _, key := range e.keys.Load().keys {
		if err := e.store.SaveCorrelation(ctx, correlationID(key, user.ID), user.ID); err != nil {
			return storeFault(ctx, err)
		}
	}
	return nil
}

// Enroll implements clienttoken.Enrollment. It reads the Customer from Dwolla, the
// only proof of its correlationId.
func (e *Enrollment) Enroll(ctx context.Context, user clienttoken.User, customer clienttoken.CustomerURL) (clienttoken.Customer, error) {
	// No user id contains a line break (clienttoken.ValidUserID).
	return e.flights.get(ctx, user.ID+"\n"+customer.ID(), func(ctx context.Context) (clienttoken.Customer, error) {
		return e.enroll(ctx, user, customer)
	})
}

func (e *Enrollment) enroll(ctx context.Context, user clienttoken.User, customer clienttoken.CustomerURL) (clienttoken.Customer, error) {
	owner, err := e.store.LinkedUser(ctx, customer.ID())
	switch {
	case errors.Is(err, customerdb.ErrNoUser) || err == nil && owner == user.ID:
	case err == nil:
		return clienttoken.Customer{}, mismatch(customer, "is linked to another user")
	default:
		return clienttoken.Customer{}, storeFault(ctx, err)
	}
	began, err := e.store.BeginEnrollment(ctx, user.ID, customer.ID())
	switch {
	case errors.Is(err, customerdb.ErrUnlinked):
		return clienttoken.Customer{}, mismatch(customer, "was unlinked from this user")
	case err != nil:
		return clienttoken.Customer{}, storeFault(ctx, err)
	}
	if wait := e.spend(user.ID); wait > 0 {
		return clienttoken.Customer{}, &clienttoken.Refusal{
			Code: clienttoken.TooManyRequests, RetryAfter: wait, Reason: "too many attempts to link a Customer",
		}
	}
	read, err := e.dwolla.GetCustomer(ctx, customer)
	switch {
	case errors.Is(err, clienttoken.ErrUnknownCustomer):
		return clienttoken.Customer{}, mismatch(customer, "does not exist at Dwolla, or is another application's")
	case err != nil:
		return clienttoken.Customer{}, fmt.Errorf("reading the Customer: %w", err)
	case read.CorrelationID == "":
		return clienttoken.Customer{}, mismatch(customer, "has no correlationId")
	}
	if !e.keys.Load().prove(user.ID, read.CorrelationID) {
		if err := e.proveEarlier(ctx, user, read.CorrelationID); errors.Is(err, errNotProven) {
			return clienttoken.Customer{}, mismatch(customer, "has another correlationId than the user's")
		} else if err != nil {
			return clienttoken.Customer{}, storeFault(ctx, err)
		}
	}
	if err := e.link(ctx, customerdb.EnrollmentAttempt{UserID: user.ID, CustomerID: customer.ID(), Began: began}, customer); err != nil {
		return clienttoken.Customer{}, err
	}
	return read, nil
}

func (e *Enrollment) link(ctx context.Context, attempt customerdb.EnrollmentAttempt, customer clienttoken.CustomerURL) error {
	defer e.links.Changed(attempt.UserID) // after an error the link may exist
	err := e.store.Enroll(ctx, attempt)
	switch {
	case err == nil:
		e.links.Notifier.linked(attempt.UserID, customer)
		return nil
	case errors.Is(err, customerdb.ErrUnlinked):
		return mismatch(customer, "was unlinked from this user")
	case errors.Is(err, customerdb.ErrUserLinked), errors.Is(err, customerdb.ErrCustomerLinked):
		return mismatch(customer, "is the user's, but cannot be linked: "+err.Error())
	}
	return storeFault(ctx, err)
}

// errNotProven marks a stored correlationId that no key proves.
var errNotProven = errors.New("no key proves the correlationId")

// proveEarlier returns nil if the user got the correlationId under another letter case
// of the same e-mail address, else errNotProven.
func (e *Enrollment) proveEarlier(ctx context.Context, user clienttoken.User, given string) error {
	if !e.store.UserIDs().Emails {
		return errNotProven
	}
	expected, err := e.expected(ctx, given)
	if errors.Is(err, customerdb.ErrNoUser) || err == nil && expected != user.ID {
		return errNotProven
	}
	return err
}

// expected returns the user the correlationId was stored for, customerdb.ErrNoUser or
// errNotProven.
func (e *Enrollment) expected(ctx context.Context, given string) (userID string, err error) {
	if !strings.HasPrefix(given, correlationIDPrefix) || !clienttoken.ValidUserID(given) { // PostgreSQL rejects some of these
		return "", customerdb.ErrNoUser
	}
	userID, err = e.store.CorrelationUser(ctx, given)
	if err != nil {
		return "", err
	}
	if !e.keys.Load().prove(userID, given) {
		return "", errNotProven
	}
	return e.store.UserIDs().Canonical(userID), nil
}

// spend takes one attempt from the user's allowance, or returns the wait until the
// next one.
func (e *Enrollment) spend(userID string) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	limiter, ok := e.attempts.Get(userID)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(attemptEvery), attemptsAtOnce)
	}
	// By then a new limiter has the same allowance.
	e.attempts.Add(userID, limiter, len(userID)+limiterBytes, time.Now().Add(attemptsAtOnce*attemptEvery))
	reservation := limiter.Reserve()
	wait := reservation.Delay()
	if wait > 0 {
		reservation.Cancel()
	}
	return wait
}

func mismatch(customer clienttoken.CustomerURL, why string) *clienttoken.Refusal {
	return &clienttoken.Refusal{
		Code:   clienttoken.CustomerMismatch,
		Reason: fmt.Sprintf("the request names Customer %s, which %s", customer.ID(), why),
	}
}
