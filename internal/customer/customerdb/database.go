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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"dropgate/internal/clienttoken"
	"dropgate/internal/postgres"
)

// Database is the service's own database: links, Customer statuses, correlation ids,
// webhook events and the audit outbox. [OpenSQLite] and [OpenPostgres] open one. Both
// run the same SQL.
//
// A nil error means the write is on disk and survives a crash (in PostgreSQL unless
// synchronous_commit is off). If ctx ends first, the error wraps ctx.Err(), and the
// write may have happened; repeating it is safe.
type Database struct {
	// In PostgreSQL, one pool. In SQLite, writes has one connection: writers wait for
	// it until their context ends, and never block readers.
	reads, writes *sql.DB
	rotate        func(ctx context.Context, urls clienttoken.Secret) error // nil for SQLite
	lost          func() uint64                                            // nil for SQLite

	// The SQLite file at the time of opening.
	path string
	file fs.FileInfo

	users       clienttoken.UserIDs
	dialect     goose.Dialect
	leaveSchema bool // another process migrates
	// skipLocked ends a SELECT of rows for one caller only. SQLite needs no such
	// clause.
	skipLocked string
	// forShare ends a SELECT that locks a row until the commit. SQLite has a single
	// writer and needs no lock.
	forShare   string
	outbox     atomic.Pointer[Outbox] // nil without an audit trail
	migrated   atomic.Bool
	unmigrated atomic.Pointer[error] // the last error of Migrate
}

// SetUserIDs sets how user ids are compared. They are stored in canonical form. Call
// it before all other methods, and [Database.Migrate] after it, to convert older rows.
func (d *Database) SetUserIDs(users clienttoken.UserIDs) {
	d.users = users
	if users.Emails {
		d.migrated.Store(false)
	}
}

// UserIDs returns the comparison of user ids.
func (d *Database) UserIDs() clienttoken.UserIDs { return d.users }

// canonical returns the stored form of a user id. It returns [ErrNotMigrated] while
// rows may be in another form: users with such rows would seem to have none.
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

// answerTimeout limits each statement. Without it, a vanished host would block a
// caller for TCP's own timeout.
const answerTimeout = 10 * time.Second

// querier is a pool, a connection or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ObservePools registers the metrics of the pools of connections.
func (d *Database) ObservePools(r prometheus.Registerer) {
	r.MustRegister(collectors.NewDBStatsCollector(d.reads, "database"))
	if d.writes != d.reads {
		r.MustRegister(collectors.NewDBStatsCollector(d.writes, "database_writes"))
	}
}

// Lost returns how many connections to PostgreSQL broke (see [postgres.Pool.Lost]). For
// SQLite it is always 0.
func (d *Database) Lost() uint64 {
	if d.lost == nil {
		return 0
	}
	return d.lost()
}

// Close closes all connections. Running calls may fail.
func (d *Database) Close() error {
	var errs []error
	for _, db := range []*sql.DB{d.reads, d.writes} { // the last one removes SQLite's extra files
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// ErrNotMigrated means [Database.Migrate] has not succeeded yet. It wraps Migrate's
// last error.
var ErrNotMigrated = errors.New("the schema is not up to date yet")

// Ping checks that the schema is current and links can be read.
func (d *Database) Ping(ctx context.Context) error {
	if !d.migrated.Load() {
		return d.notMigrated()
	}
	if d.replaced() { // opening it again would create an empty file
		return ErrReplaced
	}
	if _, err := d.Customer(ctx, ""); err != nil && !errors.Is(err, clienttoken.ErrNoCustomer) {
		return err
	}
	return nil
}

// change executes one statement and returns the number of changed rows.
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

// transaction runs do in a transaction. It commits if do returns nil, else it rolls
// back.
func (d *Database) transaction(ctx context.Context, do func(tx querier) error) error {
	// Read committed, whatever the server's default: a statement must see what others
	// committed while it waited for a row.
	tx, err := d.writes.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return queryFault(ctx, "beginning a transaction", err)
	}
	defer func() { _ = tx.Rollback() }() // no-op after Commit
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return queryFault(ctx, "committing", err)
	}
	return nil
}

// queryFault wraps a query's error. If ctx has ended, it wraps ctx.Err() instead of
// the driver's error.
func queryFault(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%s: %w", doing, postgres.WithoutSettings(err))
}
