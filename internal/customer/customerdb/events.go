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
	// ErrNoEvent is the answer where no event is due.
	ErrNoEvent = errors.New("no event is due")
	// ErrSettled is the answer to settling an event that is settled already, or
	// that was never there. Nothing was changed.
	ErrSettled = errors.New("the event is settled already")
)

// Event is a webhook of Dwolla's in the queue.
type WebhookEvent struct {
	ID         string
	Topic      clienttoken.Topic
	CustomerID string    // "" where it is about none
	Created    time.Time // by Dwolla's clock
	Attempts   int       // how often it was claimed, this time included
	Received   time.Time
	Unlinks    UnlinkCount // when it was received
}

// AddEvent puts the event into the queue, due at once. It does nothing and
// returns false when an event with this id is known, settled ones included, so
// that each is used once at most.
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

// ClaimEvent claims the event that has been due for longest, or returns
// [ErrNoEvent] when none is due. Nobody else gets it while the lease lasts;
// after that it is due again, unless it was settled.
func (d *Database) ClaimEvent(ctx context.Context, now time.Time, lease time.Duration) (WebhookEvent, error) {
	return d.claimEvent(ctx, now, lease, "")
}

// ClaimStatusEvent is ClaimEvent for the events that say all by themselves, and
// leaves out those that need an answer of Dwolla's: while Dwolla is slow, a
// suspension must not wait behind them.
func (d *Database) ClaimStatusEvent(ctx context.Context, now time.Time, lease time.Duration) (WebhookEvent, error) {
	return d.claimEvent(ctx, now, lease, ` AND topic IN (`+quotedTopics(clienttoken.StatusTopics())+`)`)
}

// quotedTopics returns the topics as a list of SQL literals. They are constants of
// lower-case letters and underscores.
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

// Retry puts the event off until due. It does nothing when the event is settled.
func (d *Database) PostponeEvent(ctx context.Context, id string, due time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := change(ctx, d.writes, "putting an event off",
		`UPDATE dropgate_events SET due_at = $1 WHERE id = $2 AND settled_at IS NULL`, due.UnixMilli(), id)
	return err
}

// Effect is what an event changes. The zero Effect changes nothing.
type EventResult struct {
	CustomerID string
	UserID     string      // to whom the Customer gets linked; "" for nobody
	Began      UnlinkCount // of the attempt to link: see EnrollmentAttempt
	Status     string      // what the Customer's status became; "" leaves it
	// ChangedAt is when the event was created, by Dwolla's clock. Of several
	// statuses the latest counts, in whatever order they arrive. Of two at the
	// same time, the one that forbids more does.
	ChangedAt time.Time
}

// Settle makes the effect happen and takes the event out of the queue: both or
// neither, and once only, whoever else tries. When the event is settled already
// it returns [ErrSettled]. When the effect's link cannot be made it returns
// [ErrUserLinked] or [ErrCustomerLinked], and the event stays as it is. When it
// must not be made it returns [ErrUnlinked], and the rest happens.
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
	// The comparison has to be a total order, or the order of arrival would
	// decide. The rank of a status repeats CustomerStatus.Inactive.
	_, err := change(ctx, tx, "keeping a status",
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

// Status returns what an event said last about the Customer, or "" when none
// has said anything.
func (d *Database) Status(ctx context.Context, customerID string) (string, error) {
	status, err := d.readID(ctx, `SELECT status FROM dropgate_statuses WHERE customer_id = $1`, strings.ToLower(customerID))
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return status, err
}

// Queue is how much waits to be settled.
type EventBacklog struct {
	Depth  int       // events
	Oldest time.Time // when the oldest of them was received; zero where there is none
}

// Queue returns how many events wait, and since when.
func (d *Database) Backlog(ctx context.Context) (EventBacklog, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var queue EventBacklog
	var oldest sql.NullInt64
	err := d.reads.QueryRowContext(ctx, `SELECT count(*), min(received_at) FROM dropgate_events WHERE settled_at IS NULL`).
		Scan(&queue.Depth, &oldest)
	if err != nil {
		return EventBacklog{}, queryFault(ctx, "measuring the queue", err)
	}
	if oldest.Valid {
		queue.Oldest = time.UnixMilli(oldest.Int64)
	}
	return queue, nil
}

// ForgetEvents forgets the settled events that were received before that time,
// and returns how many. One of them that came again would be used again.
func (d *Database) ForgetEvents(ctx context.Context, before time.Time) (int, error) {
	// In steps, so that a backlog neither holds up writers nor takes too long.
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
	n, err := change(ctx, d.writes, "forgetting events",
		`DELETE FROM dropgate_events WHERE id IN (
			SELECT id FROM dropgate_events WHERE received_at < $1 AND settled_at IS NOT NULL ORDER BY received_at LIMIT $2)`,
		before.UnixMilli(), limit)
	return int(n), err
}
