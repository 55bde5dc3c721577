package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
)

// ErrNoUser is the answer where no user is known for a Customer or for a
// correlation id.
var ErrNoUser = errors.New("no user is known for it")

// Link says whose Customer is whose.
type Link struct {
	UserID, CustomerID string
	LinkedAt           time.Time
}

// Customer implements [Store].
func (d *Database) Customer(ctx context.Context, userID string) (string, error) {
	customerID, err := d.readID(ctx, `SELECT customer_id FROM dropgate_links WHERE user_id = $1`, userID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", clienttoken.ErrNoCustomer
	}
	return customerID, err
}

// User returns the id of the user whose Customer it is, or [ErrNoUser].
func (d *Database) User(ctx context.Context, customerID string) (string, error) {
	userID, err := d.readID(ctx, `SELECT user_id FROM dropgate_links WHERE customer_id = $1`, strings.ToLower(customerID))
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNoUser
	}
	return userID, err
}

// readID returns the one value that query finds for id, or sql.ErrNoRows.
func (d *Database) readID(ctx context.Context, query, id string) (found string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err = d.reads.QueryRowContext(ctx, query, id).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return "", err //nolint:wrapcheck // each caller has a word of its own for it
	}
	if err != nil {
		return "", queryFault(ctx, "reading", err)
	}
	return found, nil
}

// Find returns the user's link, or clienttoken.ErrNoCustomer.
func (d *Database) Find(ctx context.Context, userID string) (Link, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	links, err := d.links(ctx, `SELECT user_id, customer_id, linked_at FROM dropgate_links WHERE user_id = $1`, userID)
	if err != nil {
		return Link{}, err
	}
	if len(links) == 0 {
		return Link{}, clienttoken.ErrNoCustomer
	}
	return links[0], nil
}

// List returns the first links, limit at most, of users that come after the
// user id after, in the order that the database has for user ids. All links
// are seen by whoever begins with "" and goes on after the last one until there
// is none; one that is made or removed meanwhile may or may not be among them.
func (d *Database) List(ctx context.Context, after string, limit int) ([]Link, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return d.links(ctx, `SELECT user_id, customer_id, linked_at FROM dropgate_links
		WHERE user_id > $1 ORDER BY user_id LIMIT $2`, after, limit)
}

func (d *Database) links(ctx context.Context, query string, args ...any) ([]Link, error) {
	rows, err := d.reads.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, queryFault(ctx, "reading links", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	var links []Link
	for rows.Next() {
		var link Link
		var linkedAt int64
		if err := rows.Scan(&link.UserID, &link.CustomerID, &linkedAt); err != nil {
			return nil, queryFault(ctx, "reading a link", err)
		}
		link.LinkedAt = time.UnixMilli(linkedAt)
		links = append(links, link)
	}
	if err := rows.Err(); err != nil {
		return nil, queryFault(ctx, "reading links", err)
	}
	return links, nil
}

// Link implements [Store].
func (d *Database) Link(ctx context.Context, userID, customerID string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return insertLink(ctx, d.writes, userID, strings.ToLower(customerID))
}

// Unlink implements [Store]. It remembers that the two were unlinked.
func (d *Database) Unlink(ctx context.Context, userID string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return d.transaction(ctx, func(tx querier) error {
		if _, err := change(ctx, tx, "remembering an unlink", `INSERT INTO dropgate_unlinked (user_id, customer_id, unlinked_at)
			SELECT user_id, customer_id, CAST($1 AS BIGINT) FROM dropgate_links WHERE user_id = $2
			ON CONFLICT (user_id, customer_id) DO NOTHING`, time.Now().UnixMilli(), userID); err != nil {
			return err
		}
		_, err := change(ctx, tx, "removing a link", `DELETE FROM dropgate_links WHERE user_id = $1`, userID)
		return err
	})
}

// Unlinked reports whether the two were ever linked and unlinked. Only an
// operator's word links them again (docs/decisions/0010).
func (d *Database) Unlinked(ctx context.Context, userID, customerID string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var n int
	err := d.reads.QueryRowContext(ctx, `SELECT count(*) FROM dropgate_unlinked WHERE user_id = $1 AND customer_id = $2`,
		userID, strings.ToLower(customerID)).Scan(&n)
	if err != nil {
		return false, queryFault(ctx, "reading an unlink", err)
	}
	return n > 0, nil
}

// insertLink is Link by q. It needs no transaction: the INSERT is all or
// nothing, and what stood in its way is only looked up to be named.
func insertLink(ctx context.Context, q querier, userID, customerID string) error {
	const tries = 10
	for range tries {
		n, err := change(ctx, q, "writing a link",
			`INSERT INTO dropgate_links (user_id, customer_id, linked_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			userID, customerID, time.Now().UnixMilli())
		if err != nil || n == 1 {
			return err
		}
		err = whatIsInTheWay(ctx, q, userID, customerID)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		// Somebody has removed it since.
	}
	return fmt.Errorf("writing a link: others changed it %d times meanwhile", tries)
}

// whatIsInTheWay returns nil where the link itself is there already, and
// sql.ErrNoRows where nothing is. Reading tells who was in the way in every
// database's own SQL; error codes and constraint names would not.
func whatIsInTheWay(ctx context.Context, q querier, userID, customerID string) error {
	var user, customer string
	err := q.QueryRowContext(ctx, `SELECT user_id, customer_id FROM dropgate_links
		WHERE user_id = $1 OR customer_id = $2
		ORDER BY CASE WHEN user_id = $1 THEN 0 ELSE 1 END LIMIT 1`, userID, customerID).Scan(&user, &customer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return err //nolint:wrapcheck // not an error to the caller
	case err != nil:
		return queryFault(ctx, "reading a link back", err)
	case user != userID:
		return ErrCustomerLinked
	case customer != customerID:
		return ErrUserLinked
	}
	return nil
}

// Expect remembers that the correlation id was handed out to the user, so that
// [Database.Expected] can tell whose it is. The first user of a correlation id
// stays.
func (d *Database) Expect(ctx context.Context, correlationID, userID string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := change(ctx, d.writes, "remembering a correlation id",
		`INSERT INTO dropgate_correlations (correlation_id, user_id, handed_out_at) VALUES ($1, $2, $3)
		ON CONFLICT (correlation_id) DO NOTHING`, correlationID, userID, time.Now().UnixMilli())
	return err
}

// Expected returns the id of the user to whom the correlation id was handed
// out, or [ErrNoUser].
func (d *Database) Expected(ctx context.Context, correlationID string) (string, error) {
	userID, err := d.readID(ctx, `SELECT user_id FROM dropgate_correlations WHERE correlation_id = $1`, correlationID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNoUser
	}
	return userID, err
}
