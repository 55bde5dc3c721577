package customer

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaVersionTable is where goose counts. It has a name of our own, because
// the database may be one that the application uses, with goose, too.
const schemaVersionTable = "dropgate_schema_version"

// migrate brings db up to the schema of this binary. Several processes may do
// so at once: the first migration makes schemaVersionTable's versions unique,
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
			return fmt.Errorf("its schema is version %d, and this binary knows none newer than %d: run a newer binary", current, target)
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
