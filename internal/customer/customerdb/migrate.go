package customerdb

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"dropgate/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaVersionTable is where goose counts. It has a name of our own, because
// the database may be one that the application uses, with goose, too.
const schemaVersionTable = "dropgate_schema_version"

// ErrSchema says that the database does not fit this binary: its schema is newer,
// or the server refused a migration for good. Trying again does not help, and
// starting would do harm. An unknown user, a missing database and a missing
// privilege are other errors: an administrator of the database mends them, and a
// process that ends would only be started again and again until then.
var ErrSchema = errors.New("the database does not fit")

// Migrate brings the schema up to that of this binary. Several callers and
// processes may call it at once. It uses one connection at a time. With nothing
// to migrate it only reads [schemaVersionTable]: it takes no lock, and SELECT on
// that table is the one privilege it needs. An error other than [ErrSchema] says
// that the database is away or refuses work: call Migrate again later. Until it
// succeeds no other method does. [OpenSQLite] has done it.
//
// Where user ids are e-mail addresses ([Database.SetUserIDs]) it also brings those
// of earlier versions to their canonical form. Call it again from time to time
// while replicas of an earlier version run. It returns an [ErrSchema] that wraps
// [ErrLetterCase] where an operator has to decide. No method finds users until then.
func (d *Database) Migrate(ctx context.Context) error {
	err := d.migrate(ctx)
	if err == nil {
		err = d.fold(ctx)
	}
	if err != nil {
		d.unmigrated.Store(&err)
		if errors.Is(err, ErrLetterCase) {
			d.migrated.Store(false)
		}
		return err
	}
	d.migrated.Store(true)
	return nil
}

func (d *Database) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	err := postgres.WithoutSettings(migrate(ctx, d.dialect, d.writes))
	if postgres.Permanent(err) {
		err = fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return err
}

// migrateTimeout suffices for all migrations on a busy server, and for the wait
// while another replica runs them.
const migrateTimeout = time.Minute

// migrate does the work of Migrate. It needs no lock: each migration is one
// transaction, and the versions in schemaVersionTable are unique. Of several
// processes the first one commits, and the others fail and look again. A session
// lock would not survive a PgBouncer that pools transactions. A lock in a second
// transaction would need a second connection.
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
			// No other process made progress: this is not a lost race.
			return fmt.Errorf("migrating the schema from version %d to %d: %w", current, target, failed)
		}
		last = current
		_, failed = provider.Up(ctx)
	}
}
