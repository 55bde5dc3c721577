package customerdb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
)

var (
	// ErrNoEvent means no event is due.
	ErrNoEvent = errors.New("no event is due")
	// ErrSettled means the event was settled before, or never stored. Nothing changed.
	ErrSettled = errors.New("the event is settled already")
)

// WebhookEvent is a webhook event in the queue.
type WebhookEvent struct {
	ID         string
	Topic      clienttoken.Topic
	CustomerID string    // empty for an event about no Customer
	Created    time.Time // by Dwolla's clock
	Attempts   int       // claims so far, including this one
	Received   time.Time
	Unlinks    UnlinkCount // at the time of receipt
}

// AddEvent adds an event to the queue, due at once. It returns false and does nothing
// if the id is known, even as settled: each event takes effect once.
func (d *Database) AddEvent(ctx context.Context, event WebhookEvent, now time.Time) (added bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	n, err := change(ctx, d.writes, "adding an event",
		`INSERT INTO dropgate_events (id, topic, customer_id, created, received_at, due_at, unlinks)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), unlinks
		FROM dropgate_unlinks WHERE true ON CONFLICT (id) DO NOTHING`,
		event.ID, event.Topic, strings.ToLower(event.CustomerID), event.Created.UnixMilli(), now.UnixMilli(), now.UnixMilli())
	return n == 1, err
}

// ClaimEvent leases the event that has been due for longest, or returns [ErrNoEvent].
// When the lease ends, an unsettled event is due again.
func (d *Database) ClaimEvent(ctx context.Context, now time.Time, lease time.Duration) (WebhookEvent, error) {
	return d.claimEvent(ctx, now, lease, "")
}

// ClaimStatusEvent is like ClaimEvent, but only for events whose topic states the
// status. A suspension must not wait behind events that need a slow answer from
// Dwolla.
func (d *Database) ClaimStatusEvent(ctx context.Context, now time.Time, lease time.Duration) (WebhookEvent, error) {
	return d.claimEvent(ctx, now, lease, ` AND topic IN (`+quotedTopics(clienttoken.StatusTopics())+`)`)
}

// quotedTopics returns topics as SQL literals. Topics are constants of lower-case
// letters and underscores.
func quotedTopics(topics []clienttoken.Topic) string {
	quoted := make([]string, 0, len(topics))
	for _, topic := range topics {
		quoted = append(quoted, "'"+string(topic)+"'")
	}
	return strings.Join(quoted, ", ")
}

func (d *Database) claimEvent(ctx context.Context, now time.Time, lease time.Duration, which string) (WebhookEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var event WebhookEvent
	var created, received int64
	err := d.writes.QueryRowContext(ctx, `UPDATE dropgate_events SET due_at = $1, attempts = attempts + 1 WHERE id = (
			SELECT id FROM dropgate_events WHERE settled_at IS NULL AND due_at <= $2`+which+`
			ORDER BY due_at LIMIT 1`+d.skipLocked+`
		) RETURNING id, topic, customer_id, created, attempts, received_at, unlinks`, now.Add(lease).UnixMilli(), now.UnixMilli()).
		Scan(&event.ID, &event.Topic, &event.CustomerID, &created, &event.Attempts, &received, &event.Unlinks)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return WebhookEvent{}, ErrNoEvent
	case err != nil:
		return WebhookEvent{}, queryFault(ctx, "claiming an event", err)
	}
	event.Created, event.Received = time.UnixMilli(created), time.UnixMilli(received)
	return event, nil
}

// PostponeEvent delays the event until due, unless it is settled.
func (d *Database) PostponeEvent(ctx context.Context, id string, due time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := change(ctx, d.writes, "postponing an event",
		`UPDATE dropgate_events SET due_at = $1 WHERE id = $2 AND settled_at IS NULL`, due.UnixMilli(), id)
	return err
}

// EventResult is the change that settling an event makes. The zero value changes
// nothing.
type EventResult struct {
	CustomerID string
	UserID     string      // the user to link the Customer to, or ""
	Began      UnlinkCount // see EnrollmentAttempt
	Status     string      // the Customer's new status, or "" for no change
	// ChangedAt is the event's time by Dwolla's clock. The latest status wins, in any
	// order of arrival. At equal times the more restrictive one wins.
	ChangedAt time.Time
}

// Settle applies the result and removes the event from the queue, atomically and once.
// A settled event is [ErrSettled]. If the link conflicts with another, it returns
// [ErrUserLinked] or [ErrCustomerLinked], and the event stays. If an unlink forbids
// the link, it returns [ErrUnlinked] but applies the rest.
func (d *Database) Settle(ctx context.Context, id string, effect EventResult, now time.Time) error {
	var unlinked error
	err := d.changing(ctx, func(ctx context.Context, tx querier) ([]LinkChange, error) {
		n, err := change(ctx, tx, "settling an event",
			`UPDATE dropgate_events SET settled_at = $1 WHERE id = $2 AND settled_at IS NULL`, now.UnixMilli(), id)
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			return nil, ErrSettled
		}
		changes, err := d.settleLink(ctx, tx, effect)
		if errors.Is(err, ErrUnlinked) {
			unlinked, err = err, nil
		}
		if err != nil {
			return nil, err
		}
		return changes, effect.keepStatus(ctx, tx)
	})
	if err != nil {
		return err
	}
	return unlinked
}

func (d *Database) settleLink(ctx context.Context, tx querier, e EventResult) ([]LinkChange, error) {
	if e.UserID == "" {
		return nil, nil
	}
	return d.enroll(ctx, tx, EnrollmentAttempt{UserID: e.UserID, CustomerID: e.CustomerID, Began: e.Began, Created: e.ChangedAt})
}

func (e EventResult) keepStatus(ctx context.Context, tx querier) error {
	if e.Status == "" {
		return nil
	}
	// The comparison must be a total order, or the order of arrival would decide. The
	// rank repeats CustomerStatus.Inactive.
	_, err := change(ctx, tx, "storing a status",
		`INSERT INTO dropgate_statuses (customer_id, status, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (customer_id) DO UPDATE SET status = excluded.status, changed_at = excluded.changed_at
		WHERE (excluded.changed_at,
			CASE excluded.status WHEN 'deactivated' THEN 2 WHEN 'suspended' THEN 1 ELSE 0 END,
			excluded.status)
		> (dropgate_statuses.changed_at,
			CASE dropgate_statuses.status WHEN 'deactivated' THEN 2 WHEN 'suspended' THEN 1 ELSE 0 END,
			dropgate_statuses.status)`,
		strings.ToLower(e.CustomerID), e.Status, e.ChangedAt.UnixMilli())
	return err
}

// Status returns the Customer's last status from webhook events, or "" for none.
func (d *Database) Status(ctx context.Context, customerID string) (string, error) {
	status, err := d.readID(ctx, `SELECT status FROM dropgate_statuses WHERE customer_id = $1`, strings.ToLower(customerID))
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return status, err
}

// EventBacklog describes the queue of unsettled events.
type EventBacklog struct {
	Depth  int       // number of events
	Oldest time.Time // receipt of the oldest event; zero without one
	Latest time.Time // receipt of the latest event, settled or not; zero without one
}

// Backlog measures the queue.
func (d *Database) Backlog(ctx context.Context) (EventBacklog, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var queue EventBacklog
	var oldest, latest sql.NullInt64
	err := d.reads.QueryRowContext(ctx, `SELECT count(*), min(received_at), (SELECT max(received_at) FROM dropgate_events)
		FROM dropgate_events WHERE settled_at IS NULL`).Scan(&queue.Depth, &oldest, &latest)
	if err != nil {
		return EventBacklog{}, queryFault(ctx, "measuring the queue", err)
	}
	if oldest.Valid {
		queue.Oldest = time.UnixMilli(oldest.Int64)
	}
	if latest.Valid {
		queue.Latest = time.UnixMilli(latest.Int64)
	}
	return queue, nil
}

// ForgetEvents deletes settled events received before that time, and returns their
// number. A copy of a deleted event would be processed again.
func (d *Database) ForgetEvents(ctx context.Context, before time.Time) (int, error) {
	// Small steps, so that deleting neither blocks writers nor times out.
	const step = 1000
	for forgotten := 0; ; {
		n, err := d.forgetEvents(ctx, before, step)
		forgotten += n
		if err != nil || n < step {
			return forgotten, err
		}
	}
}

func (d *Database) forgetEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	n, err := change(ctx, d.writes, "deleting events",
		`DELETE FROM dropgate_events WHERE id IN (
			SELECT id FROM dropgate_events WHERE received_at < $1 AND settled_at IS NOT NULL ORDER BY received_at LIMIT $2)`,
		before.UnixMilli(), limit)
	return int(n), err
}
