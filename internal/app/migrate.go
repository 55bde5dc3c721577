package app

import (
	"context"
	"fmt"
	"io"

	"dropgate/internal/customer/customerdb"
)

// Migrate runs `server migrate`: it brings the schema of the service's database up to
// date, whatever DATABASE_MIGRATE says. A schema that is newer, but fit for this binary,
// stays as it is. A wrong configuration is a *ConfigError.
func Migrate(ctx context.Context, environ []string, out io.Writer) error {
	c, err := loadMigrate(environ)
	if err != nil {
		return err
	}
	if !c.keepsData() {
		_, err := fmt.Fprintln(out, "the service has no database of its own: nothing to migrate")
		return err //nolint:wrapcheck // of standard output
	}
	c.DatabaseSchema, c.DatabaseMax = migrateAtStart, migrateConnections
	c.UserClaim = "" // the servers convert user ids themselves
	store, err := c.openDatabase(ctx)
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	schema, err := store.Schema(ctx)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	newer := ""
	if schema.Version > customerdb.NewestSchema {
		newer = fmt.Sprintf(", newer than this binary's %d, which may use it", customerdb.NewestSchema)
	}
	_, err = fmt.Fprintf(out, "the schema is version %d%s\n", schema.Version, newer)
	return err //nolint:wrapcheck // of standard output
}

// migrateConnections is all that a migration needs.
const migrateConnections = 1
