package customer

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaVersionTable is where goose counts. It has a name of our own, because
// the database may be one that the application uses, with goose, too.
const schemaVersionTable = "dropgate_schema_version"

// ErrSchema says that the database does not fit this binary: trying again will
// not help, and starting would do harm. Its schema is newer, or a migration was
// refused. A user or a database that the server does not know is not among them:
// a password is rotated on two sides, and a process that ended would be started
// again and again until the other side has followed.
var ErrSchema = errors.New("the database does not fit")

// Migrate brings the schema up to that of this binary. It does nothing when it
// is that already; callers and processes may do it at once. An error that is
// not [ErrSchema] says that the database could not be reached, or did not
// answer: call Migrate again, later, and until it succeeds no other method does.
// [OpenSQLite] has done it.
func (d *Database) Migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if err := d.migrateAlone(ctx); err != nil {
		err = withoutConfig(err)
		if refusedForGood(err) {
			err = fmt.Errorf("%w: %w", ErrSchema, err)
		}
		d.unmigrated.Store(&err)
		return err
	}
	d.migrated.Store(true)
	return nil
}

// migrateTimeout is enough for the migrations that there are, on a busy server,
// and for another replica's, which are waited for.
const migrateTimeout = time.Minute

// migrateLock is the key of PostgreSQL's advisory lock for migrations: "dropgate"
// as eight bytes.
const migrateLock int64 = 0x64726f7067617465

func (d *Database) migrateAlone(ctx context.Context) error {
	if d.dialect != goose.DialectPostgres {
		return migrate(ctx, d.dialect, d.writes)
	}
	// A lock that ends with its transaction cannot be left behind in a pool,
	// ours or one between us and the server. Goose has lockers too: one that
	// polls, one second apart, and one that keeps a table.
	return d.transaction(ctx, func(tx querier) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, migrateLock); err != nil {
			return queryFault(ctx, "waiting for other replicas to migrate", err)
		}
		return migrate(ctx, d.dialect, d.writes)
	})
}

// refusedForGood reports whether a PostgreSQL server said something that it
// will say again.
func refusedForGood(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(answer.Code) != 5 {
		return false
	}
	// https://www.postgresql.org/docs/current/errcodes-appendix.html
	switch answer.Code[:2] {
	case "0A", // feature not supported: a server that is too old
		"3F", // no such schema
		"42": // syntax error or access rule violation
		return true
	}
	return false
}

// migrate does the work of Migrate. Several processes may do so at once even
// without a lock, as in SQLite: the first migration makes schemaVersionTable's versions unique,
// so that one process's transaction wins and the others look again.
func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("finding the migrations: %w", err)
	}
	provider, err := goose.NewProvider(dialect, db, files,
		goose.WithTableName(schemaVersionTable),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	last := int64(-1) // the version that the last round began with
	var failed error  // how it ended
	for {
		current, target, err := provider.GetVersions(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("reading the schema version: %w", err)
		case current > target:
			return fmt.Errorf("%w: its schema is version %d, and this binary knows none newer than %d: run a newer binary",
				ErrSchema, current, target)
		case current == target:
			return nil
		case current == last:
			// Nobody got on: it was not a lost race.
			return fmt.Errorf("migrating the schema from version %d to %d: %w", current, target, failed)
		}
		last = current
		_, failed = provider.Up(ctx)
	}
}
