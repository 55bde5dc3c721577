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

// ErrLetterCase says that e-mail addresses of different rows differ in capitals
// alone. Nobody but an operator knows which Customer is the user's. Its error names
// some of the rows: keep it in the log.
var ErrLetterCase = errors.New("user ids differ in capitals alone")

// foldTimeout suffices for a million rows with capitals.
const foldTimeout = 5 * time.Minute

// foldPage is how many rows are folded at once.
const foldPage = 1000

// fold brings rows to the canonical form of their user ids, all or none. They
// come from an earlier version, or from a command without the service's
// AUTH_USER_CLAIM. It returns [ErrLetterCase] and changes nothing where two links
// would become one user's. With nothing to fold it reads each table once.
//
// The rows of dropgate_correlations stay: their correlation ids are made of the
// user id as it was.
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

// mayFold holds for each user id with a canonical form of its own, and for a few
// more: a database knows no [clienttoken.UserIDs]. Every locale's lower changes
// A to Z.
const mayFold = `(user_id <> lower(user_id) OR length(user_id) <> octet_length(user_id))`

func (d *Database) foldAll(ctx context.Context, tx querier) error {
	if d.dialect == goose.DialectPostgres {
		// Replicas that start together would wait for each other's rows.
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
	// What operators unlinked stays unlinked, under both forms.
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

// foldedRow is a row with a user id that is not canonical.
type foldedRow struct {
	Stored   string `json:"-"`
	User     string `json:"u"` // in its canonical form
	Customer string `json:"c"`
	At       int64  `json:"t"`
	Unlinks  int64  `json:"n"`
}

// eachFolded calls do for each page of the rows of query that have to be folded.
// The query takes the user and the Customer before, and how many.
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

// foldLinks replaces links, and adds those that cannot be replaced to same.
func (d *Database) foldLinks(ctx context.Context, tx querier, links []foldedRow, same *collisions) error {
	stored := make([]foldedRow, 0, len(links))
	for _, l := range links {
		stored = append(stored, foldedRow{User: l.Stored, Customer: l.Customer})
	}
	// What somebody has unlinked since it was read must not come back. An UPDATE
	// would need a privilege more.
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

// collisions are user ids whose canonical form another row has.
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
	return fmt.Errorf("%w: %w: AUTH_USER_CLAIM=email makes one user of each of %d rows of dropgate_links and another row (%s). "+
		"Decide which Customer stays, and remove the other row with AUTH_USER_CLAIM=sub server customers unlink USER",
		ErrSchema, ErrLetterCase, c.count, strings.Join(c.some, ", "))
}

// numbered returns rows as one JSON object, by number (see batch).
func numbered[T any](rows []T) string {
	text := []byte{'{'}
	for n, row := range rows {
		value, err := json.Marshal(row)
		if err != nil {
			panic(err) // strings and numbers do encode
		}
		if n > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(append(text, '"'), int64(n), 10)
		text = append(append(text, `":`...), value...)
	}
	return string(append(text, '}'))
}
