package customerdb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
)

// Conflicts with another link. Nothing changed. Both are *clienttoken.Refusal.
var (
	ErrUserLinked     error = &clienttoken.Refusal{Code: clienttoken.CustomerAlreadyLinked, Reason: "the user is linked to another Customer"}
	ErrCustomerLinked error = &clienttoken.Refusal{Code: clienttoken.CustomerAlreadyLinked, Reason: "the Customer is linked to another user"}
)

// ErrNoUser means no user is known for a Customer or correlation id.
var ErrNoUser = errors.New("no user is known for it")

// LinkRow is a stored link.
type LinkRow struct {
	UserID, CustomerID string
	LinkedAt           time.Time
}

// Customer returns the id of the user's Customer in lower case, or
// clienttoken.ErrNoCustomer.
func (d *Database) Customer(ctx context.Context, userID string) (string, error) {
	userID, err := d.canonical(userID)
	if err != nil {
		return "", err
	}
	customerID, err := d.readID(ctx, `SELECT customer_id FROM dropgate_links WHERE user_id = $1`, userID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", clienttoken.ErrNoCustomer
	}
	return customerID, err
}

// LinkedUser returns the id of the Customer's user, or [ErrNoUser].
func (d *Database) LinkedUser(ctx context.Context, customerID string) (string, error) {
	if _, err := d.canonical(""); err != nil {
		return "", err
	}
	userID, err := d.readID(ctx, `SELECT user_id FROM dropgate_links WHERE customer_id = $1`, strings.ToLower(customerID))
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNoUser
	}
	return userID, err
}

// readID returns the value query finds for id, or sql.ErrNoRows.
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
func (d *Database) Find(ctx context.Context, userID string) (LinkRow, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	userID, err := d.canonical(userID)
	if err != nil {
		return LinkRow{}, err
	}
	links, err := d.links(ctx, `SELECT user_id, customer_id, linked_at FROM dropgate_links WHERE user_id = $1`, userID)
	if err != nil {
		return LinkRow{}, err
	}
	if len(links) == 0 {
		return LinkRow{}, clienttoken.ErrNoCustomer
	}
	return links[0], nil
}

// List returns at most limit links of users after the given user id, in the database's
// order. To read all links, start with "" and continue after the last user. Links made
// or removed meanwhile may be missing.
func (d *Database) List(ctx context.Context, after string, limit int) ([]LinkRow, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return d.links(ctx, `SELECT user_id, customer_id, linked_at FROM dropgate_links
		WHERE user_id > $1 ORDER BY user_id LIMIT $2`, after, limit)
}

func (d *Database) links(ctx context.Context, query string, args ...any) ([]LinkRow, error) {
	rows, err := d.reads.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, queryFault(ctx, "reading links", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	var links []LinkRow
	for rows.Next() {
		var link LinkRow
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

// SaveCorrelation stores the user of a correlation id for [Database.CorrelationUser].
// The first user stays.
func (d *Database) SaveCorrelation(ctx context.Context, correlationID, userID string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := change(ctx, d.writes, "storing a correlation id",
		`INSERT INTO dropgate_correlations (correlation_id, user_id, handed_out_at) VALUES ($1, $2, $3)
		ON CONFLICT (correlation_id) DO NOTHING`, correlationID, d.users.Canonical(userID), time.Now().UnixMilli())
	return err
}

// CorrelationUser returns the user id stored with the correlation id, in its form at
// that time, or [ErrNoUser].
func (d *Database) CorrelationUser(ctx context.Context, correlationID string) (string, error) {
	userID, err := d.readID(ctx, `SELECT user_id FROM dropgate_correlations WHERE correlation_id = $1`, correlationID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNoUser
	}
	return userID, err
}
