package customerdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// The versions of the schema that this binary can use. docs/upgrades.md has the rules
// for changing them.
const (
	// NewestSchema is the version of the last migration.
	NewestSchema = 5
	// OldestSchema is the version that the statements of this package need at least. It
	// is at most the version of the previous release, so that servers of this one start
	// before the migration.
	OldestSchema = 5
)

// ErrSchemaBehind means the schema is older than [OldestSchema], and this process may
// not migrate it. It ends when another process has migrated.
var ErrSchemaBehind = errors.New("the schema is too old for this binary: run server migrate")

// compatibleBase separates the two versions in a negative one.
const compatibleBase = 1000

// Schema is the version of a schema.
type Schema struct {
	// Version is that of its last migration.
	Version int64
	// Compatible is the oldest version that a binary must know to use the schema. It is
	// at most Version.
	Compatible int64
}

// Schema reads the version of the schema.
func (d *Database) Schema(ctx context.Context) (Schema, error) { return readSchema(ctx, d.writes) }

// readSchema reads the version. A row with the negative version -7005 stands for no
// migration. It says of the schema of version 7 that binaries of version 5 and newer
// may use it. A migration that older binaries survive adds such a row, and no later
// migration inherits it (docs/decisions/0026-schemas-name-their-oldest-binary.md).
func readSchema(ctx context.Context, db querier) (Schema, error) {
	var newest, lowest int64
	err := db.QueryRowContext(ctx, `SELECT max(version_id), min(version_id) FROM dropgate_schema_version`).Scan(&newest, &lowest)
	if err != nil {
		return Schema{}, queryFault(ctx, "reading the schema version", err)
	}
	s := Schema{Version: newest, Compatible: newest}
	if -lowest/compatibleBase == newest {
		s.Compatible = -lowest % compatibleBase
	}
	return s, nil
}

// checkNewer checks that a binary of an older schema version may use the schema.
func checkNewer(ctx context.Context, db *sql.DB, knows int64) error {
	s, err := readSchema(ctx, db)
	if err != nil {
		return err
	}
	if s.Compatible > knows {
		return fmt.Errorf("%w: its schema is version %d, for binaries that know version %d; this one knows only up to %d: run a newer binary",
			ErrSchema, s.Version, s.Compatible, knows)
	}
	return nil
}

// LeaveSchema keeps this process from changing the schema. Call it before all other
// methods.
func (d *Database) LeaveSchema() { d.leaveSchema = true }

// checkSchema checks that this binary can use the schema as it is.
func (d *Database) checkSchema(ctx context.Context) error {
	s, err := d.Schema(ctx)
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == undefinedTable {
		return fmt.Errorf("%w: there is no schema yet", ErrSchemaBehind)
	}
	switch {
	case err != nil:
		return err
	case s.Version < OldestSchema:
		return fmt.Errorf("%w: it is version %d, and this binary needs %d", ErrSchemaBehind, s.Version, OldestSchema)
	case s.Version > NewestSchema:
		return checkNewer(ctx, d.writes, NewestSchema)
	}
	return nil
}

// undefinedTable is the SQLSTATE of a missing table.
const undefinedTable = "42P01"
