package customer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

var (
	_ customer.Source = customer.Claim{}
	_ customer.Source = (*customer.LinkSource)(nil)

	_ clienttoken.Directory = (*customer.Directory)(nil)
)

// stubStore always answers with the same id and error.
type stubStore struct {
	id  string
	err error
}

func (s stubStore) Customer(context.Context, string) (string, error) { return s.id, s.err }
func (s stubStore) Link(context.Context, string, string) error       { return s.err }
func (s stubStore) Unlink(context.Context, string) error             { return s.err }

func TestLinkSourceFindsTheCustomer(t *testing.T) {
	directory := customer.NewLinkSource(sandbox(t), newSQLite(t)(), time.Minute)
	ann, bob := clienttoken.User{ID: "ann"}, clienttoken.User{ID: "bob"}
	if _, err := directory.Customer(t.Context(), ann); !errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Fatalf("before the link: %v, want ErrNoCustomer", err)
	}
	own := customerURL(t, customerA)
	if err := directory.Link(t.Context(), ann.ID, own); err != nil {
		t.Fatal(err)
	}
	if got, err := directory.Customer(t.Context(), ann); err != nil || got != own {
		t.Fatalf("got %q, %v; want %q", got, err, own)
	}
	if err := directory.Link(t.Context(), bob.ID, own); !errors.Is(err, customerdb.ErrCustomerLinked) {
		t.Fatalf("another user's link: %v, want ErrCustomerLinked", err)
	}
	if err := directory.Link(t.Context(), ann.ID, customerURL(t, customerB)); !errors.Is(err, customerdb.ErrUserLinked) {
		t.Fatalf("another Customer's link: %v, want ErrUserLinked", err)
	}
	if err := directory.Unlink(t.Context(), ann.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Customer(t.Context(), ann); !errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Fatalf("after the unlink: %v, want ErrNoCustomer", err)
	}
}

// The database alone decides.
func TestLinkSourceIgnoresClaims(t *testing.T) {
	directory := customer.NewLinkSource(sandbox(t), newSQLite(t)(), time.Minute)
	user := userSaying(t, `{"dropgate_customer":"`+customerA+`","sub":"bob"}`)
	if err := directory.Link(t.Context(), "bob", customerURL(t, customerB)); err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Customer(t.Context(), user); !errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Fatalf("error %v, want ErrNoCustomer", err)
	}
}

func TestStoreFaultIsAnOutage(t *testing.T) {
	broken := errors.New("disk on fire")
	directory := customer.NewLinkSource(sandbox(t), stubStore{err: broken}, time.Minute)
	_, readErr := directory.Customer(t.Context(), clienttoken.User{ID: "ann"})
	for _, err := range []error{
		readErr,
		directory.Link(t.Context(), "ann", customerURL(t, customerA)),
		directory.Unlink(t.Context(), "ann"),
	} {
		wantFailure(t, err)
		failure, _ := errors.AsType[*clienttoken.Failure](err)
		if failure.RetryAfter <= 0 || !errors.Is(err, broken) {
			t.Errorf("failure %+v, want a RetryAfter and the cause", failure)
		}
	}
}

func TestClosedStoreIsAnOutage(t *testing.T) {
	store := newSQLite(t)()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	directory := customer.NewLinkSource(sandbox(t), store, time.Minute)
	_, err := directory.Customer(t.Context(), clienttoken.User{ID: "ann"})
	wantFailure(t, err)
}

// A timeout of the store is not the caller's.
func TestStoresOwnTimeoutIsAnOutage(t *testing.T) {
	directory := customer.NewLinkSource(sandbox(t), stubStore{err: context.DeadlineExceeded}, time.Minute)
	_, err := directory.Customer(t.Context(), clienttoken.User{ID: "ann"})
	wantFailure(t, err)
}

func TestCanceledCallerIsNotAnOutage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, store := range []customer.Store{newSQLite(t)(), stubStore{err: errors.New("interrupted (9)")}} {
		directory := customer.NewLinkSource(sandbox(t), store, time.Minute)
		_, readErr := directory.Customer(ctx, clienttoken.User{ID: "ann"})
		for _, err := range []error{
			readErr,
			directory.Link(ctx, "ann", customerURL(t, customerA)),
			directory.Unlink(ctx, "ann"),
		} {
			if _, failed := errors.AsType[*clienttoken.Failure](err); failed || !errors.Is(err, context.Canceled) {
				t.Errorf("%T: error %v, want context.Canceled and no Failure", store, err)
			}
		}
	}
}

func TestBrokenRowFailsClosed(t *testing.T) {
	for _, id := range []string{"", "none", "../" + customerA, "https://api-sandbox.dwolla.com/customers/" + customerA} {
		directory := customer.NewLinkSource(sandbox(t), stubStore{id: id}, time.Minute)
		got, err := directory.Customer(t.Context(), clienttoken.User{ID: "ann"})
		wantFailure(t, err)
		if !got.IsZero() {
			t.Errorf("row %q: got %q beside the error", id, got)
		}
	}
}

func TestCustomerOfAnotherEnvironmentIsNotLinked(t *testing.T) {
	production, err := clienttoken.NewAPI(clienttoken.Production, "")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := clienttoken.ParseCustomerID(production, customerA)
	if err != nil {
		t.Fatal(err)
	}
	directory := customer.NewLinkSource(sandbox(t), newSQLite(t)(), time.Minute)
	for _, url := range []clienttoken.CustomerURL{foreign, {}} {
		if err := directory.Link(t.Context(), "ann", url); err == nil {
			t.Errorf("%q was linked", url)
		}
	}
	if _, err := directory.Customer(t.Context(), clienttoken.User{ID: "ann"}); !errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Errorf("error %v, want ErrNoCustomer", err)
	}
}

func BenchmarkLinkSource(b *testing.B) {
	directory := customer.NewLinkSource(sandbox(b), newSQLite(b)(), 0)
	user := clienttoken.User{ID: "ann"}
	if err := directory.Link(b.Context(), user.ID, customerURL(b, customerA)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := directory.Customer(b.Context(), user); err != nil {
				b.Fatal(err)
			}
		}
	})
}
