package customerdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pressly/goose/v3"
)

// ImportConflict is a row of a batch that was not linked.
type ImportConflict struct {
	Row int // from 0
	// Err is ErrUserLinked if the user has another Customer after the batch, else
	// ErrCustomerLinked.
	Err error
}

// ImportResult is the result of a batch.
type ImportResult struct {
	Linked    int // rows neither linked nor in conflict were linked before
	Conflicts []ImportConflict
}

// Import links many users in batches. Each batch is a transaction. After a crash, run
// the same import again.
type Import struct {
	database *Database
	dry      *dryRun // nil unless it is a dry run
}

// dryRun holds the connection with the temporary table.
type dryRun struct {
	conn *sql.Conn
	tx   *sql.Tx // nil in SQLite, where it would lock the file
}

// batchTimeout limits a batch, which may wait for other writers.
const batchTimeout = time.Minute

// Import starts an import. Close it.
func (d *Database) Import() *Import { return &Import{database: d} }

// DryImport starts an import that links nothing, but finds all conflicts. It blocks no
// other writer in PostgreSQL. There it holds a transaction, because PgBouncer in
// transaction mode would send the next batch to a connection without the temporary
// table. In SQLite it holds the only connection for writes. Close it.
func (d *Database) DryImport(ctx context.Context) (*Import, error) {
	conn, err := d.writes.Conn(ctx)
	if err != nil {
		return nil, queryFault(ctx, "connecting for a dry run", err)
	}
	dry := &dryRun{conn: conn}
	if err := dry.prepare(ctx, d.dialect); err != nil {
		dry.close()
		return nil, err
	}
	return &Import{database: d, dry: dry}, nil
}

// prepare creates a temporary table for the rows an import would link, so memory use
// stays constant.
func (d *dryRun) prepare(ctx context.Context, dialect goose.Dialect) error {
	if dialect == goose.DialectPostgres {
		tx, err := d.conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			return queryFault(ctx, "beginning a dry run", err)
		}
		d.tx = tx
	}
	if _, err := d.querier().ExecContext(ctx, dryRunTable); err != nil {
		return queryFault(ctx, "preparing a dry run", err)
	}
	return nil
}

func (d *dryRun) querier() querier {
	if d.tx != nil {
		return d.tx
	}
	return d.conn
}

// close closes the connection, and so drops the table.
func (d *dryRun) close() {
	if d.tx != nil {
		_ = d.tx.Rollback()
	}
	_ = d.conn.Raw(func(any) error { return driver.ErrBadConn })
}

// Close ends the import.
func (i *Import) Close() {
	if i.dry != nil {
		i.dry.close()
	}
}

// Add links the rows; their LinkedAt is ignored. Of two conflicting rows the first
// wins.
func (i *Import) Add(ctx context.Context, rows []LinkRow) (ImportResult, error) {
	if _, err := i.database.canonical(""); err != nil {
		return ImportResult{}, err
	}
	batch, err := i.database.encodeBatch(rows)
	if err != nil {
		return ImportResult{}, err
	}
	if i.dry != nil {
		ctx, cancel := context.WithTimeout(ctx, batchTimeout)
		defer cancel()
		return batch.tryOut(ctx, i.dry.querier())
	}
	var done ImportResult
	changes, err := i.database.commit(ctx, batchTimeout, func(ctx context.Context, tx querier) (changes []LinkChange, err error) {
		if i.database.dialect == goose.DialectPostgres {
			// Two batches with the same rows in different orders would deadlock.
			// Writers of single links need no lock.
			if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, importLock); err != nil {
				return nil, queryFault(ctx, "waiting for other imports", err)
			}
		}
		changes, err = changedLinks(ctx, tx, Linked, importLinks, time.Now().UnixMilli(), batch.json)
		if err == nil {
			done, err = batch.result(ctx, tx, len(changes), importLost)
		}
		return changes, err
	})
	if err != nil {
		return ImportResult{}, err
	}
	i.database.deliver(ctx, changes)
	return done, nil
}

// importLock is the key of PostgreSQL's advisory lock for batches: "dropgatf" in eight
// bytes.
const importLock int64 = 0x64726f7067617466

// batch holds rows as a JSON object with numbers as names. Both SQLite and PostgreSQL
// can read it as a table.
type batch struct {
	json string
	rows int
}

func (d *Database) encodeBatch(rows []LinkRow) (batch, error) {
	type row struct {
		User     string `json:"u"`
		Customer string `json:"c"`
	}
	// No map: it would sort the keys as text, and the first row must win.
	text := []byte{'{'}
	for n, link := range rows {
		if !utf8.ValidString(link.UserID) { // JSON would replace the bad bytes
			return batch{}, fmt.Errorf("row %d: the user id is not UTF-8", n)
		}
		value, err := json.Marshal(row{d.users.Canonical(link.UserID), strings.ToLower(link.CustomerID)})
		if err != nil {
			return batch{}, fmt.Errorf("row %d: %w", n, err)
		}
		if n > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(append(text, '"'), int64(n), 10)
		text = append(append(text, `":`...), value...)
	}
	return batch{json: string(append(text, '}')), rows: len(rows)}, nil
}

// The SQL of an import. Each "lost" query finds the rows not linked, and whether the
// user is linked elsewhere.
const (
	// WHERE true, or SQLite would take ON for a join's.
	importLinks = `INSERT INTO dropgate_links (user_id, customer_id, linked_at)
		SELECT value->>'u', value->>'c', CAST($1 AS BIGINT) FROM json_each($2) WHERE true
		ON CONFLICT DO NOTHING RETURNING user_id, customer_id`
	importLost = `SELECT key, own.user_id IS NOT NULL FROM json_each($1)
		LEFT JOIN dropgate_links own ON own.user_id = value->>'u'
		WHERE coalesce(own.customer_id, '') <> value->>'c'`

	dryRunTable = `CREATE TEMP TABLE dropgate_dry_run (
		user_id     TEXT NOT NULL PRIMARY KEY,
		customer_id TEXT NOT NULL UNIQUE CHECK (length(customer_id) = 36))`
	dryRunLinks = `INSERT INTO dropgate_dry_run (user_id, customer_id)
		SELECT value->>'u', value->>'c' FROM json_each($1)
		WHERE NOT EXISTS (SELECT 1 FROM dropgate_links WHERE user_id = value->>'u')
		AND NOT EXISTS (SELECT 1 FROM dropgate_links WHERE customer_id = value->>'c')
		ON CONFLICT DO NOTHING`
	dryRunLost = `SELECT key, coalesce(own.user_id, planned.user_id) IS NOT NULL FROM json_each($1)
		LEFT JOIN dropgate_links own ON own.user_id = value->>'u'
		LEFT JOIN dropgate_dry_run planned ON planned.user_id = value->>'u'
		WHERE coalesce(own.customer_id, planned.customer_id, '') <> value->>'c'`
)

func (b batch) tryOut(ctx context.Context, conn querier) (ImportResult, error) {
	n, err := change(ctx, conn, "trying an import", dryRunLinks, b.json)
	if err != nil {
		return ImportResult{}, err
	}
	return b.result(ctx, conn, int(n), dryRunLost)
}

// result finds the rows that were not linked, with the query lost.
func (b batch) result(ctx context.Context, q querier, linked int, lost string) (ImportResult, error) {
	done := ImportResult{Linked: linked}
	if linked == b.rows {
		return done, nil
	}
	rows, err := q.QueryContext(ctx, lost, b.json)
	if err != nil {
		return ImportResult{}, queryFault(ctx, "reading conflicts", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	for rows.Next() {
		var userLinked bool
		conflict := ImportConflict{Err: ErrCustomerLinked}
		if err := rows.Scan(&conflict.Row, &userLinked); err != nil {
			return ImportResult{}, queryFault(ctx, "reading a conflict", err)
		}
		if userLinked {
			conflict.Err = ErrUserLinked
		}
		done.Conflicts = append(done.Conflicts, conflict)
	}
	if err := rows.Err(); err != nil {
		return ImportResult{}, queryFault(ctx, "reading conflicts", err)
	}
	slices.SortFunc(done.Conflicts, func(a, b ImportConflict) int { return a.Row - b.Row })
	return done, nil
}
