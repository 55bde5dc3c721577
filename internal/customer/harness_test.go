package customer_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/postgres/postgrestest"
)

const (
	customerA = "707177c3-bf15-4e7e-b37c-55c3898d9bf4"
	customerB = "fc451a7a-ae30-4404-ab95-e3553fcd733f"
)

func sandbox(tb testing.TB) clienttoken.API {
	tb.Helper()
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		tb.Fatal(err)
	}
	return api
}

func customerURL(tb testing.TB, id string) clienttoken.CustomerURL {
	tb.Helper()
	url, err := clienttoken.ParseCustomerID(sandbox(tb), id)
	if err != nil {
		tb.Fatal(err)
	}
	return url
}

var (
	ann = clienttoken.User{ID: "ann"}
	bob = clienttoken.User{ID: "bob"}
)

// key returns a valid enrollment key for a letter.
func key(letter string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 31) + "."))
}

func keys(t testing.TB, list ...string) customer.EnrollmentKeys {
	t.Helper()
	k, err := customer.ParseEnrollmentKeys(clienttoken.NewSecret(strings.Join(list, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// wantFailure checks that err is an outage, and not ErrNoCustomer.
func wantFailure(t *testing.T, err error) {
	t.Helper()
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok || failure.Code != clienttoken.Unavailable {
		t.Fatalf("error %v (%T), want a Failure with code %s", err, err, clienttoken.Unavailable)
	}
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Fatalf("error %v reads as ErrNoCustomer", err)
	}
}

// noCause is the cause of a vend in tests.
func noCause() clienttoken.Cause { return clienttoken.Cause{} }

// newDatabase makes an empty database and returns a function that opens it, as a
// replica of its own. Databases are closed when the test ends.
type newDatabase func(tb testing.TB) func() *customerdb.Database

func newSQLite(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "links.db")
	return func() *customerdb.Database {
		store, err := customerdb.OpenSQLite(tb.Context(), path)
		return closing(tb, store, err)
	}
}

func newPostgres(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	schema := postgrestest.New(tb)
	return func() *customerdb.Database {
		store, err := customerdb.OpenPostgres(clienttoken.NewSecret(schema.URL))
		if err == nil {
			err = store.Migrate(tb.Context())
		}
		return closing(tb, store, err)
	}
}

func closing(tb testing.TB, store *customerdb.Database, err error) *customerdb.Database {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return store
}

// customerNumber returns a different Customer id for each n.
func customerNumber(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-00000000abcd", n) }

// background is the context for helpers of both rapid.T and testing.T.
func background() context.Context { return context.Background() }

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func link(t fataler, s *customerdb.Database, userID, customerID string) {
	t.Helper()
	if err := s.Link(background(), userID, customerID); err != nil {
		t.Fatalf("linking %q to %s: %v", userID, customerID, err)
	}
}

func unlink(t fataler, s *customerdb.Database, userID string) {
	t.Helper()
	if err := s.Unlink(background(), userID); err != nil {
		t.Fatalf("unlinking %q: %v", userID, err)
	}
}

// wantCustomer checks the user's Customer; "" means none.
func wantCustomer(t fataler, s *customerdb.Database, userID, want string) {
	t.Helper()
	got, err := s.Customer(background(), userID)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		err = nil
	}
	if err != nil || got != want {
		t.Fatalf("the Customer of %q is %q (error %v), want %q", userID, got, err, want)
	}
}

func wantError(t fataler, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// listAll returns all links by user, read in pages of limit.
func listAll(t fataler, d *customerdb.Database, limit int) map[string]string {
	t.Helper()
	links, after := map[string]string{}, ""
	for {
		page, err := d.List(background(), after, limit)
		if err != nil || len(page) > limit {
			t.Fatalf("a page of %d links (error %v), want %d at most", len(page), err, limit)
		}
		if len(page) == 0 {
			return links
		}
		for _, link := range page {
			if _, seen := links[link.UserID]; seen {
				t.Fatalf("%q is there twice", link.UserID)
			}
			links[link.UserID], after = link.CustomerID, link.UserID
		}
	}
}

// enrolling is an enrollment on an empty database, with an emulated Dwolla.
type enrolling struct {
	*customer.Enrollment

	api    clienttoken.API
	dwolla *dwollatest.Server
	client *dwolla.Client
	store  *customerdb.Database
	links  *customer.LinkSource
}

func newEnrolling(t testing.TB, list ...string) *enrolling {
	t.Helper()
	e := &enrolling{dwolla: dwollatest.New(t, emulator.Options{})}
	var err error
	if e.api, err = clienttoken.NewAPI(clienttoken.Sandbox, e.dwolla.URL); err != nil {
		t.Fatal(err)
	}
	e.client = dwolla.New(dwolla.Config{
		API: e.api, ClientID: dwollatest.ClientID, ClientSecret: clienttoken.NewSecret(dwollatest.ClientSecret), Timeout: 5 * time.Second,
		Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	t.Cleanup(e.client.Close)
	e.store = newSQLite(t)()
	e.with(t, list...)
	return e
}

// with restarts the service with other keys.
func (e *enrolling) with(t testing.TB, list ...string) {
	t.Helper()
	e.links = customer.NewLinkSource(e.api, e.store, time.Minute)
	e.Enrollment = customer.NewEnrollment(keys(t, list...), e.links, e.store, e.client)
}

// created returns a new Customer at Dwolla.
func (e *enrolling) created(t testing.TB, correlationID string) clienttoken.CustomerURL {
	t.Helper()
	c := e.dwolla.Customer(emulator.Customer{CorrelationID: correlationID, Status: "document", Type: "personal"})
	url, err := clienttoken.ParseCustomerID(e.api, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// refusal enrolls the Customer and returns the refusal, which must have this code.
func (e *enrolling) refusal(t *testing.T, user clienttoken.User, url clienttoken.CustomerURL, code clienttoken.Code) *clienttoken.Refusal {
	t.Helper()
	got, err := e.Enroll(t.Context(), user, url)
	refusal, ok := errors.AsType[*clienttoken.Refusal](err)
	if !ok || refusal.Code != code || got != (clienttoken.Customer{}) {
		t.Fatalf("%s enrolls %s: %+v, error %v, want %s", user.ID, url, got, err, code)
	}
	return refusal
}

// refuses checks that the Customer is refused as another user's.
func (e *enrolling) refuses(t *testing.T, user clienttoken.User, url clienttoken.CustomerURL) {
	t.Helper()
	_ = e.refusal(t, user, url, clienttoken.CustomerMismatch)
}

func (e *enrolling) calls() int { return e.dwolla.Calls(emulator.OpReadCustomer) }
