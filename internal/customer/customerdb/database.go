package customerdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"dropgate/internal/clienttoken"
	"dropgate/internal/postgres"
)

// Database keeps what this service has to remember: the links (it is a
// [Store]), the statuses of Customers, the correlation ids that were handed
// out, and the queue of webhooks. [OpenSQLite] and [OpenPostgres] make one; the
// SQL is the same for both.
//
// What a method returned nil for is on disk and survives a crash. (A PostgreSQL
// server that was set to synchronous_commit=off promises less.) When ctx ends
// first, the error wraps ctx.Err(), and a write may or may not have happened;
// asking again is safe.
type Database struct {
	// In PostgreSQL these are the same. SQLite has one writer at a time: there,
	// writers queue for the one connection, where the end of a context ends the
	// wait, and never hold up a reader.
	reads, writes *sql.DB

	// SQLite's file as it was opened.
	path string
	file fs.FileInfo

	users   clienttoken.UserIDs
	dialect goose.Dialect
	// skipLocked ends a SELECT whose rows only one of many callers may get.
	// SQLite has no word for it and needs none.
	skipLocked string
	// forShare ends a SELECT whose row nobody may change until the commit.
	// SQLite needs none, with one writer at a time.
	forShare   string
	outbox     atomic.Pointer[Outbox] // nil in a process that does not write the audit trail
	migrated   atomic.Bool
	unmigrated atomic.Pointer[error] // why the last attempt failed
}

// SetUserIDs sets how user ids are compared: they are stored in their canonical
// form. Call it before anything else uses the database. After it call
// [Database.Migrate], which brings rows of earlier versions to that form.
func (d *Database) SetUserIDs(users clienttoken.UserIDs) {
	d.users = users
	if users.Emails {
		d.migrated.Store(false)
	}
}

// UserIDs returns how user ids are compared.
func (d *Database) UserIDs() clienttoken.UserIDs { return d.users }

// canonical returns the form of a user id in the tables. While these may hold
// other forms, a user with a row would seem to have none: then it returns
// [ErrNotMigrated].
func (d *Database) canonical(userID string) (string, error) {
	if d.users.Emails && !d.migrated.Load() {
		return "", d.notMigrated()
	}
	return d.users.Canonical(userID), nil
}

func (d *Database) notMigrated() error {
	if why := d.unmigrated.Load(); why != nil {
		return fmt.Errorf("%w: %w", ErrNotMigrated, *why)
	}
	return ErrNotMigrated
}

// answerTimeout is within which a database has to answer. Without it, a server
// whose host vanished would hold a caller for as long as TCP hopes.
const answerTimeout = 10 * time.Second

// querier is a pool, a connection or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Close ends all connections. Calls that are under way may fail.
func (d *Database) Close() error {
	var errs []error
	for _, db := range []*sql.DB{d.reads, d.writes} { // the last one to go tidies up
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// ErrNotMigrated is the answer of [Database.Ping] until [Database.Migrate] has
// succeeded. It wraps the error of the last attempt.
var ErrNotMigrated = errors.New("the schema is not known to be up to date yet")

// Ping reports whether the database can be used now: the schema is there, and
// links can be read.
func (d *Database) Ping(ctx context.Context) error {
	if !d.migrated.Load() {
		return d.notMigrated()
	}
	if d.replaced() { // a new connection would make an empty file
		return ErrReplaced
	}
	if _, err := d.Customer(ctx, ""); err != nil && !errors.Is(err, clienttoken.ErrNoCustomer) {
		return err
	}
	return nil
}

// change executes one statement that stands for itself, and returns how many
// rows it changed.
func change(ctx context.Context, q querier, doing, query string, args ...any) (int64, error) {
	result, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, queryFault(ctx, doing, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, queryFault(ctx, doing, err)
	}
	return n, nil
}

// transaction calls do in a transaction, which it commits when do returns nil
// and rolls back otherwise.
func (d *Database) transaction(ctx context.Context, do func(tx querier) error) error {
	// Statements that wait for one another's rows have to see what the other
	// one committed, whatever level the server's settings prefer.
	tx, err := d.writes.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return queryFault(ctx, "beginning a transaction", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return queryFault(ctx, "committing", err)
	}
	return nil
}

// queryFault wraps the error of a query. When ctx has ended that is the
// reason, in whatever words the driver puts it.
func queryFault(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%s: %w", doing, postgres.WithoutSettings(err))
}
