package customerdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Reasons why a reachable database refuses work. Errors of the server itself come from
// the driver.
var (
	// ErrPrivilege means the role lacks a privilege on a table.
	ErrPrivilege = errors.New("the role lacks a privilege")
	// ErrReplaced means the open file was removed or replaced.
	ErrReplaced = errors.New("the file was removed or replaced")
	// ErrLocked means another process keeps the file locked.
	ErrLocked = errors.New("another process keeps the file locked")
)

// TryWrite reports whether the database accepts all writes of this package. It leaves
// nothing behind. It costs several statements, too many for every request.
func (d *Database) TryWrite(ctx context.Context) error {
	if d.dialect == goose.DialectPostgres {
		return d.rollingBack(ctx, tryPostgres)
	}
	return d.trySQLite(ctx)
}

// rollingBack runs do in a transaction and rolls it back.
func (d *Database) rollingBack(ctx context.Context, do func(ctx context.Context, tx querier) error) error {
	tx, err := d.writes.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return queryFault(ctx, "beginning to write", err)
	}
	defer func() { _ = tx.Rollback() }()
	return do(ctx, tx)
}

// privileges lists the privileges of this package's statements.
const privileges = `('dropgate_schema_version', 'SELECT'),
	('dropgate_links', 'SELECT'), ('dropgate_links', 'INSERT'), ('dropgate_links', 'DELETE'),
	('dropgate_unlinked', 'SELECT'), ('dropgate_unlinked', 'INSERT'),
	('dropgate_statuses', 'SELECT'), ('dropgate_statuses', 'INSERT'), ('dropgate_statuses', 'UPDATE'),
	('dropgate_correlations', 'SELECT'), ('dropgate_correlations', 'INSERT'),
	('dropgate_events', 'SELECT'), ('dropgate_events', 'INSERT'), ('dropgate_events', 'UPDATE'), ('dropgate_events', 'DELETE'),
	('dropgate_unlinks', 'SELECT'), ('dropgate_unlinks', 'UPDATE'),
	('dropgate_unlinked_users', 'SELECT'), ('dropgate_unlinked_users', 'INSERT'), ('dropgate_unlinked_users', 'UPDATE'),
	('dropgate_audit_outbox', 'SELECT'), ('dropgate_audit_outbox', 'INSERT'), ('dropgate_audit_outbox', 'UPDATE'),
	('dropgate_audit_outbox', 'DELETE')`

func tryPostgres(ctx context.Context, tx querier) error {
	var table, verb string
	err := tx.QueryRowContext(ctx, `SELECT name, verb FROM (VALUES `+privileges+`) AS needed (name, verb)
		WHERE NOT has_table_privilege(name, verb) LIMIT 1`).Scan(&table, &verb)
	switch {
	case err == nil:
		return fmt.Errorf("%w: %s on %s", ErrPrivilege, verb, table)
	case !errors.Is(err, sql.ErrNoRows):
		return queryFault(ctx, "reading privileges", err)
	}
	// A random key, so replicas never wait for each other.
	if _, err := change(ctx, tx, "trying to write", `INSERT INTO dropgate_statuses (customer_id, status, changed_at) VALUES ($1, '', 0)`,
		"probe "+strings.ToLower(rand.Text())); err != nil {
		return err
	}
	return tryDisk(ctx, tx)
}

// tryDisk checks that the server can write 100 KiB. The INSERT before may fit into a
// page with room. Rows of a function beyond work_mem go to a temporary file next to
// the tables.
func tryDisk(ctx context.Context, tx querier) error {
	if _, err := tx.ExecContext(ctx, `SET LOCAL work_mem = '64kB'`); err != nil {
		return queryFault(ctx, "limiting memory", err)
	}
	_, err := tx.ExecContext(ctx, `SELECT count(*) FROM generate_series(1, 5000)`)
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == temporaryFileLimit {
		return nil
	}
	if err != nil {
		return queryFault(ctx, "trying the disk", err)
	}
	return nil
}

// temporaryFileLimit is configuration_limit_exceeded: temp_file_limit is too low for
// the check.
const temporaryFileLimit = "53400"

// replaced reports whether path no longer names the opened file.
func (d *Database) replaced() bool {
	if d.file == nil { // not SQLite
		return false
	}
	now, err := os.Stat(d.path)
	return err != nil || !os.SameFile(now, d.file)
}

func (d *Database) trySQLite(ctx context.Context) error {
	if d.replaced() {
		return ErrReplaced
	}
	if err := tryFolder(filepath.Dir(d.path)); err != nil {
		return err
	}
	tx, err := d.writes.BeginTx(ctx, nil)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ErrLocked
		}
		return queryFault(ctx, "locking the file", err)
	}
	defer func() { _ = tx.Rollback() }()
	// Rewrites the first page with the same content.
	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return queryFault(ctx, "reading the file", err)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		return queryFault(ctx, "trying to write", err)
	}
	if err := tx.Commit(); err != nil {
		return queryFault(ctx, "trying to write", err)
	}
	return nil
}

// tryFolder checks that the disk has room for a few links. The page trySQLite writes
// may fit into the existing file.
func tryFolder(folder string) error {
	file, err := os.CreateTemp(folder, ".dropgate-probe-")
	if err != nil {
		return fmt.Errorf("creating a file next to it: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := os.Remove(file.Name()); err != nil { // at once, in case of a crash
		return fmt.Errorf("removing a file next to it: %w", err)
	}
	if _, err := file.Write(make([]byte, roomForLinks)); err != nil {
		return fmt.Errorf("writing next to it: %w", err)
	}
	return nil
}

const roomForLinks = 64 << 10 // bytes
