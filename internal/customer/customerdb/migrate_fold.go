package customerdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// ErrLetterCase means e-mail addresses in several rows differ only in letter case. An
// operator must decide which Customer is the user's. The error names some rows, so
// only log it.
var ErrLetterCase = errors.New("user ids differ only in letter case")

// foldTimeout covers a million rows.
const foldTimeout = 5 * time.Minute

// foldPage is the number of rows per page.
const foldPage = 1000

// fold converts the user ids of all rows to canonical form, or none. Such rows come
// from an earlier version, or from a command without AUTH_USER_CLAIM. If two links
// would become one user's, it returns [ErrLetterCase]. With nothing to do, it reads
// each table once.
//
// It leaves dropgate_correlations alone, whose ids derive from the original user ids.
func (d *Database) fold(ctx context.Context) error {
	if !d.users.Emails {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, foldTimeout)
	defer cancel()
	var capitals bool
	err := d.writes.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM dropgate_links WHERE `+mayFold+`)
		OR EXISTS (SELECT 1 FROM dropgate_unlinked WHERE `+mayFold+`)
		OR EXISTS (SELECT 1 FROM dropgate_unlinked_users WHERE `+mayFold+`)`).Scan(&capitals)
	if err != nil {
		return queryFault(ctx, "looking for capitals", err)
	}
	if !capitals {
		return nil
	}
	return d.transaction(ctx, func(tx querier) error { return d.foldAll(ctx, tx) })
}

// mayFold selects all rows to fold and a few more, since a database lacks
// [clienttoken.UserIDs]. In every locale, lower converts A to Z.
const mayFold = `(user_id <> lower(user_id) OR length(user_id) <> octet_length(user_id))`

func (d *Database) foldAll(ctx context.Context, tx querier) error {
	if d.dialect == goose.DialectPostgres {
		// Replicas starting together would deadlock.
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, importLock); err != nil {
			return queryFault(ctx, "waiting for imports", err)
		}
	}
	var same collisions
	err := d.eachFolded(ctx, tx, `SELECT user_id, customer_id, linked_at, 0 FROM dropgate_links
		WHERE user_id >= $1 AND (user_id, customer_id) > ($1, $2) AND `+mayFold+` ORDER BY user_id, customer_id LIMIT $3`,
		func(rows []foldedRow) error { return d.foldLinks(ctx, tx, rows, &same) })
	if err == nil {
		err = same.err()
	}
	if err != nil {
		return err
	}
	// Unlinked pairs stay unlinked in both forms.
	err = d.eachFolded(ctx, tx, `SELECT user_id, customer_id, unlinked_at, 0 FROM dropgate_unlinked
		WHERE user_id >= $1 AND (user_id, customer_id) > ($1, $2) AND `+mayFold+` ORDER BY user_id, customer_id LIMIT $3`,
		func(rows []foldedRow) error {
			_, err := change(ctx, tx, "folding unlinked pairs", `INSERT INTO dropgate_unlinked (user_id, customer_id, unlinked_at)
				SELECT value->>'u', value->>'c', CAST(value->>'t' AS BIGINT) FROM json_each($1) WHERE true
				ON CONFLICT (user_id, customer_id) DO NOTHING`, numbered(rows))
			return err
		})
	if err != nil {
		return err
	}
	return d.eachFolded(ctx, tx, `SELECT user_id, '', unlinked_at, unlinks FROM dropgate_unlinked_users
		WHERE user_id > $1 AND CAST($2 AS TEXT) = '' AND `+mayFold+` ORDER BY user_id LIMIT $3`,
		func(rows []foldedRow) error {
			_, err := change(ctx, tx, "folding unlinked users", `INSERT INTO dropgate_unlinked_users (user_id, unlinks, unlinked_at)
				SELECT value->>'u', max(CAST(value->>'n' AS BIGINT)), max(CAST(value->>'t' AS BIGINT)) FROM json_each($1)
				WHERE true GROUP BY value->>'u'
				ON CONFLICT (user_id) DO UPDATE SET unlinks = excluded.unlinks, unlinked_at = excluded.unlinked_at
				WHERE excluded.unlinks > dropgate_unlinked_users.unlinks`, numbered(rows))
			return err
		})
}

// foldedRow is a row whose user id is not canonical.
type foldedRow struct {
	Stored   string `json:"-"`
	User     string `json:"u"` // in its canonical form
	Customer string `json:"c"`
	At       int64  `json:"t"`
	Unlinks  int64  `json:"n"`
}

// eachFolded calls do with each page of rows to fold. The query's parameters are the
// previous user and Customer, and the page size.
func (d *Database) eachFolded(ctx context.Context, tx querier, query string, do func([]foldedRow) error) error {
	var last foldedRow
	for {
		page, err := d.readFolded(ctx, tx, query, last.Stored, last.Customer, foldPage)
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1]
		rows := slices.DeleteFunc(slices.Clone(page), func(r foldedRow) bool { return r.User == r.Stored })
		if len(rows) > 0 {
			if err := do(rows); err != nil {
				return err
			}
		}
		if len(page) < foldPage {
			return nil
		}
	}
}

func (d *Database) readFolded(ctx context.Context, tx querier, query string, args ...any) ([]foldedRow, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, queryFault(ctx, "reading rows to fold", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	var page []foldedRow
	for rows.Next() {
		var r foldedRow
		if err := rows.Scan(&r.Stored, &r.Customer, &r.At, &r.Unlinks); err != nil {
			return nil, queryFault(ctx, "reading a row to fold", err)
		}
		r.User = d.users.Canonical(r.Stored)
		page = append(page, r)
	}
	if err := rows.Err(); err != nil {
		return nil, queryFault(ctx, "reading rows to fold", err)
	}
	return page, nil
}

// foldLinks replaces links, and adds those it cannot replace to same.
func (d *Database) foldLinks(ctx context.Context, tx querier, links []foldedRow, same *collisions) error {
	stored := make([]foldedRow, 0, len(links))
	for _, l := range links {
		stored = append(stored, foldedRow{User: l.Stored, Customer: l.Customer})
	}
	// A link removed since the read must stay removed. An UPDATE would need one more
	// privilege.
	removed, err := d.readFolded(ctx, tx, `DELETE FROM dropgate_links WHERE (user_id, customer_id) IN
		(SELECT value->>'u', value->>'c' FROM json_each($1)) RETURNING user_id, customer_id, linked_at, 0`, numbered(stored))
	if err != nil || len(removed) == 0 {
		return err
	}
	made, err := d.readFolded(ctx, tx, `INSERT INTO dropgate_links (user_id, customer_id, linked_at)
		SELECT value->>'u', value->>'c', CAST(value->>'t' AS BIGINT) FROM json_each($1) WHERE true
		ON CONFLICT DO NOTHING RETURNING user_id, customer_id, linked_at, 0`, numbered(removed))
	if err != nil {
		return err
	}
	replaced := make(map[string]bool, len(made))
	for _, l := range made {
		replaced[l.Customer] = true
	}
	for _, l := range removed {
		if !replaced[l.Customer] {
			same.add(l.Stored)
		}
	}
	return nil
}

// collisions collects user ids that share a canonical form with another row.
type collisions struct {
	count int
	some  []string
}

func (c *collisions) add(userID string) {
	const named = 10
	if c.count++; c.count <= named {
		c.some = append(c.some, strconv.Quote(userID))
	}
}

func (c *collisions) err() error {
	if c.count == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w: with AUTH_USER_CLAIM=email, %d rows of dropgate_links belong to the user of another row (%s). "+
		"Decide which Customer stays, and remove the other row with AUTH_USER_CLAIM=sub server customers unlink USER",
		ErrSchema, ErrLetterCase, c.count, strings.Join(c.some, ", "))
}

// numbered encodes rows as a JSON object with numbers as names; see batch.
func numbered[T any](rows []T) string {
	text := []byte{'{'}
	for n, row := range rows {
		value, err := json.Marshal(row)
		if err != nil {
			panic(err) // strings and numbers always encode
		}
		if n > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(append(text, '"'), int64(n), 10)
		text = append(append(text, `":`...), value...)
	}
	return string(append(text, '}'))
}
