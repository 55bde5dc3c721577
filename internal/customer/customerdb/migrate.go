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

// schemaVersionTable is goose's table. The name is our own, because the application
// may use goose in the same database.
const schemaVersionTable = "dropgate_schema_version"

// ErrSchema means the schema is too new for this binary, or the server rejects a
// migration for good. The process must not start. A missing user, database or
// privilege is another error: an administrator can fix it while the process keeps
// trying.
var ErrSchema = errors.New("the database does not match this binary")

// Migrate brings the schema up to date. Callers and processes may run it concurrently.
// It uses one connection at a time. Without pending migrations it takes no lock and
// only needs SELECT on [schemaVersionTable]. After an error other than [ErrSchema],
// try again later. No other method works before it succeeds. [OpenSQLite] calls it.
//
// After [Database.LeaveSchema] it changes no schema, and waits for another process to
// do so: until then, the error is [ErrSchemaBehind].
//
// If user ids are e-mail addresses ([Database.SetUserIDs]), it also converts older
// rows to their canonical form. Call it again regularly while replicas of an earlier
// version run. If an operator has to decide, it returns [ErrSchema] with
// [ErrLetterCase], and no method finds users until then.
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
	if d.leaveSchema {
		return postgres.WithoutSettings(d.checkSchema(ctx))
	}
	return d.migrateFrom(ctx, migrations)
}

// migrateFrom runs the migrations in the folder "migrations" of files.
func (d *Database) migrateFrom(ctx context.Context, files fs.FS) error {
	err := postgres.WithoutSettings(migrate(ctx, d.dialect, d.writes, files))
	if postgres.Permanent(err) {
		err = fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return err
}

// migrateTimeout covers all migrations on a busy server, or the wait for another
// replica.
const migrateTimeout = time.Minute

// migrate implements Migrate without a lock. Each migration is a transaction, and
// versions are unique: one process commits, the others fail and look again. A session
// lock would not survive PgBouncer in transaction mode, and a lock in a second
// transaction would need a second connection.
func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, from fs.FS) error {
	files, err := fs.Sub(from, "migrations")
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
	last := int64(-1) // the previous round's version
	var failed error  // the previous round's error
	for {
		current, target, err := provider.GetVersions(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("reading the schema version: %w", err)
		case current > target:
			return checkNewer(ctx, db, target)
		case current == target:
			return nil
		case current == last:
			// No progress by any process, so this was not a lost race.
			return fmt.Errorf("migrating the schema from version %d to %d: %w", current, target, failed)
		}
		last = current
		_, failed = provider.Up(ctx)
	}
}
