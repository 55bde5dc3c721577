package customerdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
)

// LinkChange is a link made or removed. It is committed together with the link, and
// stays until the audit trail has its entry.
type LinkChange struct {
	ID                 string // the same in an entry written twice
	Kind               LinkChangeKind
	UserID, CustomerID string
	At                 time.Time
	Reason             string // why the user may have the Customer, or ""
	Cause              clienttoken.Cause
}

// LinkChangeKind says whether a link was made or removed.
type LinkChangeKind string

// The kinds of change.
const (
	Linked   LinkChangeKind = "linked"
	Unlinked LinkChangeKind = "unlinked"
)

// ErrUnlinked means an operator's unlink forbids the link. It is a
// *clienttoken.Refusal.
var ErrUnlinked error = &clienttoken.Refusal{Code: clienttoken.CustomerMismatch, Reason: "an operator unlinked the user from the Customer"}

// UnlinkCount is the number of unlinks so far. It orders attempts to link and
// operators' unlinks without comparing clocks.
type UnlinkCount int64

// EnrollmentAttempt is an attempt to link a proven Customer, by a request or a
// webhook.
type EnrollmentAttempt struct {
	UserID, CustomerID string
	Began              UnlinkCount
	// Created is the event's time by Dwolla's clock, zero for a request.
	Created time.Time
}

// Link links the Customer to the user for an operator, even after an unlink. An
// existing equal link is no error.
func (d *Database) Link(ctx context.Context, userID, customerID string) error {
	userID, err := d.canonical(userID)
	if err != nil {
		return err
	}
	return d.changing(ctx, func(ctx context.Context, tx querier) ([]LinkChange, error) {
		return insertLink(ctx, tx, LinkRow{UserID: userID, CustomerID: strings.ToLower(customerID)}, func() (int64, error) {
			return change(ctx, tx, "writing a link",
				`INSERT INTO dropgate_links (user_id, customer_id, linked_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				userID, strings.ToLower(customerID), time.Now().UnixMilli())
		})
	})
}

// Unlink removes the user's link. Earlier attempts to link fail, and the user cannot
// enroll the same Customer again.
func (d *Database) Unlink(ctx context.Context, userID string) error {
	userID, err := d.canonical(userID)
	if err != nil {
		return err
	}
	return d.changing(ctx, func(ctx context.Context, tx querier) ([]LinkChange, error) {
		// From here to the commit no attempt to link proceeds; see enroll.
		now := time.Now().UnixMilli()
		if _, err := change(ctx, tx, "counting an unlink", `UPDATE dropgate_unlinks SET unlinks = unlinks + 1`); err != nil {
			return nil, err
		}
		if _, err := change(ctx, tx, "storing an unlink", `INSERT INTO dropgate_unlinked_users (user_id, unlinks, unlinked_at)
			SELECT CAST($1 AS TEXT), unlinks, CAST($2 AS BIGINT) FROM dropgate_unlinks WHERE true
			ON CONFLICT (user_id) DO UPDATE SET unlinks = excluded.unlinks, unlinked_at = excluded.unlinked_at`, userID, now); err != nil {
			return nil, err
		}
		removed, err := changedLinks(ctx, tx, Unlinked, `DELETE FROM dropgate_links WHERE user_id = $1 RETURNING user_id, customer_id`, userID)
		if err != nil {
			return nil, err
		}
		for _, c := range removed {
			if err := forbid(ctx, tx, c.UserID, c.CustomerID); err != nil {
				return nil, err
			}
		}
		return removed, nil
	})
}

// forbid makes later attempts to link the two fail.
func forbid(ctx context.Context, tx querier, userID, customerID string) error {
	_, err := change(ctx, tx, "storing an unlinked pair", `INSERT INTO dropgate_unlinked (user_id, customer_id, unlinked_at)
		VALUES ($1, $2, $3) ON CONFLICT (user_id, customer_id) DO NOTHING`, userID, customerID, time.Now().UnixMilli())
	return err
}

// BeginEnrollment returns the count an attempt starts with, or [ErrUnlinked] if the
// attempt would fail.
func (d *Database) BeginEnrollment(ctx context.Context, userID, customerID string) (UnlinkCount, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	userID, err := d.canonical(userID)
	if err != nil {
		return 0, err
	}
	var now UnlinkCount
	var forbidden bool
	err = d.reads.QueryRowContext(ctx, `SELECT unlinks,
		EXISTS (SELECT 1 FROM dropgate_unlinked WHERE user_id = $1 AND customer_id = $2) FROM dropgate_unlinks`,
		userID, strings.ToLower(customerID)).Scan(&now, &forbidden)
	switch {
	case err != nil:
		return 0, queryFault(ctx, "beginning to link", err)
	case forbidden:
		return 0, ErrUnlinked
	}
	return now, nil
}

// Enroll links a Customer the user has proven. It returns [ErrUserLinked] and
// [ErrCustomerLinked] like Link. It returns [ErrUnlinked] if an operator has unlinked
// the two, or the user since the attempt began. The pair then counts as unlinked, as
// if the attempt had come first.
func (d *Database) Enroll(ctx context.Context, a EnrollmentAttempt) error {
	var unlinked error
	err := d.changing(ctx, func(ctx context.Context, tx querier) (changes []LinkChange, err error) {
		changes, err = d.enroll(ctx, tx, a)
		if errors.Is(err, ErrUnlinked) { // commit the rest
			unlinked, err = err, nil
		}
		return changes, err
	})
	if err != nil {
		return err
	}
	return unlinked
}

// enroll is Enroll within a transaction. Commit even after ErrUnlinked.
func (d *Database) enroll(ctx context.Context, tx querier, a EnrollmentAttempt) ([]LinkChange, error) {
	userID, err := d.canonical(a.UserID)
	if err != nil {
		return nil, err
	}
	a.UserID, a.CustomerID = userID, strings.ToLower(a.CustomerID)
	// Wait for a running unlink, and block others until the commit: a PostgreSQL
	// statement does not see what others commit while it runs. SQLite has one writer.
	var now UnlinkCount
	if err := tx.QueryRowContext(ctx, `SELECT unlinks FROM dropgate_unlinks`+d.forShare).Scan(&now); err != nil {
		return nil, queryFault(ctx, "waiting for unlinks", err)
	}
	changes, err := insertLink(ctx, tx, LinkRow{UserID: a.UserID, CustomerID: a.CustomerID}, func() (int64, error) {
		n, err := change(ctx, tx, "linking", `INSERT INTO dropgate_links (user_id, customer_id, linked_at)
			SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT)
			WHERE NOT EXISTS (SELECT 1 FROM dropgate_unlinked WHERE user_id = $1 AND customer_id = $2)
			AND NOT EXISTS (SELECT 1 FROM dropgate_unlinked_users WHERE user_id = $1 AND (unlinks > $4 OR unlinked_at >= $5))
			ON CONFLICT DO NOTHING`, a.UserID, a.CustomerID, time.Now().UnixMilli(), a.Began, a.created())
		if err == nil && n == 0 {
			err = a.forbidden(ctx, tx)
		}
		return n, err
	})
	for i := range changes {
		changes[i].Reason = "enrolled: the Customer has the user's correlationId"
	}
	return changes, err
}

// created returns Created for SQL. For a request, where only Began matters, it is
// later than any unlink.
func (a EnrollmentAttempt) created() int64 {
	if a.Created.IsZero() {
		return 1<<63 - 1
	}
	return a.Created.UnixMilli()
}

// forbidden returns ErrUnlinked if an unlink forbids the attempt, else nil. An
// attempt overtaken by an unlink counts as unlinked.
func (a EnrollmentAttempt) forbidden(ctx context.Context, tx querier) error {
	var pair, overtaken, older bool
	err := tx.QueryRowContext(ctx, `SELECT
		EXISTS (SELECT 1 FROM dropgate_unlinked WHERE user_id = $1 AND customer_id = $2),
		EXISTS (SELECT 1 FROM dropgate_unlinked_users WHERE user_id = $1 AND unlinks > $3),
		EXISTS (SELECT 1 FROM dropgate_unlinked_users WHERE user_id = $1 AND unlinked_at >= $4)`,
		a.UserID, a.CustomerID, a.Began, a.created()).Scan(&pair, &overtaken, &older)
	if err != nil {
		return queryFault(ctx, "looking for an unlink", err)
	}
	if !pair && !overtaken && !older || conflict(ctx, tx, a.UserID, a.CustomerID) == nil {
		return nil // also if an operator has linked the two since
	}
	if overtaken {
		if err := forbid(ctx, tx, a.UserID, a.CustomerID); err != nil {
			return err
		}
	}
	return ErrUnlinked
}

// insertLink calls insert, which returns the number of new links, until the link
// exists or conflicts with another.
func insertLink(ctx context.Context, tx querier, link LinkRow, insert func() (int64, error)) ([]LinkChange, error) {
	const tries = 10
	for range tries {
		n, err := insert()
		switch {
		case err != nil:
			return nil, err
		case n == 1:
			return []LinkChange{newChange(ctx, Linked, link)}, nil
		}
		err = conflict(ctx, tx, link.UserID, link.CustomerID)
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		// The conflicting link is gone again.
	}
	return nil, fmt.Errorf("writing a link: others changed it %d times meanwhile", tries)
}

// conflict returns nil if the link itself exists, and sql.ErrNoRows if nothing
// conflicts. Reading works in both databases; error codes and constraint names
// differ.
func conflict(ctx context.Context, q querier, userID, customerID string) error {
	var user, customer string
	err := q.QueryRowContext(ctx, `SELECT user_id, customer_id FROM dropgate_links
		WHERE user_id = $1 OR customer_id = $2
		ORDER BY CASE WHEN user_id = $1 THEN 0 ELSE 1 END LIMIT 1`, userID, customerID).Scan(&user, &customer)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return err //nolint:wrapcheck // the caller checks for it
	case err != nil:
		return queryFault(ctx, "reading a link back", err)
	case user != userID:
		return ErrCustomerLinked
	case customer != customerID:
		return ErrUserLinked
	}
	return nil
}

func newChange(ctx context.Context, kind LinkChangeKind, link LinkRow) LinkChange {
	return LinkChange{
		ID: rand.Text(), Kind: kind, UserID: link.UserID, CustomerID: link.CustomerID,
		At: time.Now(), Cause: clienttoken.CauseOf(ctx),
	}
}

// changedLinks runs a statement returning the user and the Customer of each changed
// link.
func changedLinks(ctx context.Context, tx querier, kind LinkChangeKind, query string, args ...any) ([]LinkChange, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, queryFault(ctx, "changing links", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	var changes []LinkChange
	for rows.Next() {
		var link LinkRow
		if err := rows.Scan(&link.UserID, &link.CustomerID); err != nil {
			return nil, queryFault(ctx, "reading a changed link", err)
		}
		changes = append(changes, newChange(ctx, kind, link))
	}
	if err := rows.Err(); err != nil {
		return nil, queryFault(ctx, "changing links", err)
	}
	return changes, nil
}

// changing runs do in a transaction, stores the changes it returns, and delivers
// them after the commit. Delivery continues after ctx has ended.
func (d *Database) changing(ctx context.Context, do func(ctx context.Context, tx querier) ([]LinkChange, error)) error {
	changes, err := d.commit(ctx, answerTimeout, do)
	if err != nil {
		return err
	}
	d.deliver(ctx, changes)
	return nil
}

// deliver passes committed changes to the audit trail, if this process has one.
func (d *Database) deliver(ctx context.Context, changes []LinkChange) {
	if outbox := d.outbox.Load(); outbox != nil {
		outbox.deliver(context.WithoutCancel(ctx), changes)
	}
}

// commit runs do in a transaction and stores the returned changes in it.
func (d *Database) commit(
	ctx context.Context, within time.Duration, do func(ctx context.Context, tx querier) ([]LinkChange, error),
) (changes []LinkChange, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err = d.transaction(ctx, func(tx querier) (err error) {
		if changes, err = do(ctx, tx); err != nil {
			return err
		}
		return d.store(ctx, tx, changes)
	})
	return changes, err
}

// store adds the changes to the outbox. If this process delivers them itself, other
// replicas wait for its lease.
func (d *Database) store(ctx context.Context, tx querier, changes []LinkChange) error {
	if len(changes) == 0 {
		return nil
	}
	cause, err := json.Marshal(changes[0].Cause) // the same for all changes of a transaction
	if err != nil {
		return fmt.Errorf("storing who changed a link: %w", err)
	}
	due := time.Now()
	if d.outbox.Load() != nil {
		due = due.Add(outboxLease)
	}
	_, err = change(ctx, tx, "storing link changes",
		`INSERT INTO dropgate_audit_outbox (id, change, user_id, customer_id, changed_at, reason, cause, due_at)
		SELECT value->>'i', value->>'k', value->>'u', value->>'c', CAST($1 AS BIGINT), value->>'r', CAST($2 AS TEXT), CAST($3 AS BIGINT)
		FROM json_each($4) WHERE true`,
		changes[0].At.UnixMilli(), string(cause), due.UnixMilli(), encodeChanges(changes))
	return err
}

// encodeChanges encodes changes as a JSON object; see batch.
func encodeChanges(changes []LinkChange) string {
	type row struct {
		ID       string         `json:"i"`
		Kind     LinkChangeKind `json:"k"`
		User     string         `json:"u"`
		Customer string         `json:"c"`
		Reason   string         `json:"r"`
	}
	rows := make([]row, 0, len(changes))
	for _, c := range changes {
		rows = append(rows, row{c.ID, c.Kind, c.UserID, c.CustomerID, c.Reason})
	}
	return numbered(rows)
}
