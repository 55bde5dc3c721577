package customerdb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
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

// newDatabase makes an empty database and returns a function that opens it, as a
// replica of its own. Databases are closed when the test ends.
type newDatabase func(tb testing.TB) func() *customerdb.Database

func openSQLite(tb testing.TB, path string) *customerdb.Database {
	tb.Helper()
	store, err := customerdb.OpenSQLite(tb.Context(), path)
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

// newSQLite is a newDatabase.
func newSQLite(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "links.db")
	return func() *customerdb.Database { return openSQLite(tb, path) }
}

// postgres is a schema that belongs to one test.
type postgres struct {
	postgrestest.Schema
}

func newPostgres(tb testing.TB) postgres {
	tb.Helper()
	return postgres{postgrestest.New(tb)}
}

// bounced returns the schema behind PgBouncer.
func (p postgres) bounced(tb testing.TB, connections int) postgres {
	tb.Helper()
	return postgres{p.BehindPgBouncer(tb, connections)}
}

func (p postgres) open(tb testing.TB) *customerdb.Database {
	tb.Helper()
	d := p.openUnmigrated(tb)
	if err := d.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return d
}

func (p postgres) openUnmigrated(tb testing.TB) *customerdb.Database {
	tb.Helper()
	return openURL(tb, p.URL)
}

func openURL(tb testing.TB, url string) *customerdb.Database {
	tb.Helper()
	d, err := customerdb.OpenPostgres(clienttoken.NewSecret(url))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// newPostgresDatabase is a newDatabase.
func newPostgresDatabase(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	p := newPostgres(tb)
	return func() *customerdb.Database { return p.open(tb) }
}

// blocked waits until one of the schema's connections waits for a lock.
func (p postgres) blocked(t *testing.T) {
	t.Helper()
	server := postgrestest.Open(t, postgrestest.With(t, p.URL, "application_name", "blocked"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for waiting := 0; waiting == 0; {
		if err := server.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = $1 AND wait_event_type = 'Lock'`, p.Name).Scan(&waiting); err != nil {
			t.Fatalf("no query waits for a lock: %v", err)
		}
	}
}

// half runs statements of another replica in an uncommitted transaction.
func (p postgres) half(t *testing.T, statements ...string) *sql.Tx {
	t.Helper()
	tx, err := postgrestest.Open(t, p.URL).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return tx
}

func raw(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func exec1(tb testing.TB, db *sql.DB, query string) {
	tb.Helper()
	if _, err := db.ExecContext(tb.Context(), query); err != nil {
		tb.Fatal(err)
	}
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

// race runs try for 0 to racers-1 concurrently, alternating between two stores of one
// database, and returns the errors.
func race(open func() *customerdb.Database, try func(s *customerdb.Database, i int) error) []error {
	stores := []*customerdb.Database{open(), open()}
	errs := make([]error, racers)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range racers {
		done.Go(func() {
			<-start
			errs[i] = try(stores[i%2], i)
		})
	}
	close(start)
	done.Wait()
	return errs
}
