package customer_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

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

// customerNumber is the id of some Customer, another one for each n.
func customerNumber(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-00000000abcd", n) }

// background serves helpers that rapid's T calls, which gives no context to
// those that serve a testing.T, too.
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

// wantCustomer checks whose Customer is whose; "" stands for none.
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

// listAll returns all links, by user, read in pages of limit.
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
