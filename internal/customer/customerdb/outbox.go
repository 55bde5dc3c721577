package customerdb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// OutboxConfig is what an Outbox needs. All fields are required.
type OutboxConfig struct {
	Store *Database
	// Write writes the audit entry of a change. It returns nil once the audit
	// trail has the entry, and an error within a bounded time otherwise.
	Write      func(ctx context.Context, change LinkChange) error
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Outbox hands changed links to the audit trail (docs/decisions/0019). A change
// of this process is handed on as soon as it is committed, before its caller gets
// an answer. Run does the rest: changes that a sink did not take, and those of
// commands and of replicas that have ended.
//
// After a crash between the two, and only then, an entry is written twice.
type Outbox struct {
	config OutboxConfig
	failed bool // the last attempt of Run: a fault is logged once
	depth  prometheus.Gauge
}

const (
	// outboxLease is how long one replica has for the changes that it claims.
	outboxLease = time.Minute
	// outboxPoll is how often changes of others are looked for.
	outboxPoll = time.Second
	// outboxRetry is when to try a change again that the audit trail did not
	// take.
	outboxRetry = 5 * time.Second
	// outboxBatch is how many changes are claimed at once: of an import there may
	// be a million.
	outboxBatch = 500
	// deliverWithin is how long the caller of a change waits for its entry. The
	// entry is as durable as the change, so the answer does not depend on it.
	deliverWithin = 5 * time.Second
)

// NewOutbox returns the outbox of the store, whose changes it writes from now on.
func NewOutbox(c OutboxConfig) *Outbox {
	o := &Outbox{config: c, depth: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dropgate_audit_outbox_depth",
		Help: "Changes of links whose audit entries wait in the database, for all replicas.",
	})}
	c.Registerer.MustRegister(o.depth)
	c.Store.outbox.Store(o)
	return o
}

// deliver writes the entries of changes that this process has just committed.
func (o *Outbox) deliver(ctx context.Context, changes []LinkChange) {
	if len(changes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	if err := o.write(ctx, changes); err != nil {
		o.config.Logger.Error().Err(err).Msg("the audit entry of a changed link waits in the database")
	}
}

// Run writes the entries that wait, until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	for ctx.Err() == nil {
		written, err := o.drain(ctx)
		if failed := err != nil && ctx.Err() == nil; failed != o.failed {
			if o.failed = failed; failed { // once, until it is over
				o.config.Logger.Error().Err(err).Msg("the audit entries of changed links wait in the database")
			}
		}
		if err == nil && written == outboxBatch {
			continue
		}
		if n, err := o.config.Store.Undelivered(ctx); err == nil {
			o.depth.Set(float64(n))
		}
		select {
		case <-time.After(outboxPoll):
		case <-ctx.Done():
		}
	}
}

// drain writes one batch, and returns how many entries it had.
func (o *Outbox) drain(ctx context.Context) (int, error) {
	changes, err := o.config.Store.claimChanges(ctx, time.Now())
	if err != nil || len(changes) == 0 {
		return 0, err
	}
	return len(changes), o.write(ctx, changes)
}

// write writes the entries of changes that nobody else writes now, and forgets
// those that the audit trail has. The others are due again soon.
func (o *Outbox) write(ctx context.Context, changes []LinkChange) error {
	began, done := time.Now(), 0
	var failed error
	for _, c := range changes {
		if failed = o.config.Write(ctx, c); failed != nil {
			break
		}
		done++
		if time.Since(began) > outboxLease/2 { // before another replica takes them over
			failed = fmt.Errorf("the audit trail took %d entries in %s", done, outboxLease/2)
			break
		}
	}
	// Also when ctx has ended: what was written must not be written again.
	ctx = context.WithoutCancel(ctx)
	if err := o.config.Store.forgetChanges(ctx, changes[:done]); err != nil && failed == nil {
		failed = err
	}
	if done < len(changes) {
		_ = o.config.Store.postponeChanges(ctx, changes[done:], time.Now().Add(outboxRetry)) // or the lease ends
	}
	return failed
}

// Undelivered returns how many changes wait for their audit entries.
func (d *Database) Undelivered(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err = d.reads.QueryRowContext(ctx, `SELECT count(*) FROM dropgate_audit_outbox`).Scan(&n); err != nil {
		return 0, queryFault(ctx, "measuring the outbox", err)
	}
	return n, nil
}

// claimChanges returns the changes that have been due for longest. Nobody else
// gets them while the lease lasts.
func (d *Database) claimChanges(ctx context.Context, now time.Time) ([]LinkChange, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	due := `SELECT id FROM dropgate_audit_outbox WHERE due_at <= $2 ORDER BY due_at, id LIMIT $3` + d.skipLocked
	claim := `UPDATE dropgate_audit_outbox SET due_at = $1 WHERE id IN (` + due + `) ` + //nolint:gosec // made of constants
		`RETURNING id, change, user_id, customer_id, changed_at, reason, cause`
	rows, err := d.writes.QueryContext(ctx, claim,
		now.Add(outboxLease).UnixMilli(), now.UnixMilli(), outboxBatch)
	if err != nil {
		return nil, queryFault(ctx, "claiming changes", err)
	}
	defer func() { _ = rows.Close() }() // its error is in rows.Err
	var changes []LinkChange
	for rows.Next() {
		var c LinkChange
		var at int64
		var cause string
		if err := rows.Scan(&c.ID, &c.Kind, &c.UserID, &c.CustomerID, &at, &c.Reason, &cause); err != nil {
			return nil, queryFault(ctx, "reading a change", err)
		}
		if err := json.Unmarshal([]byte(cause), &c.Cause); err != nil {
			return nil, fmt.Errorf("reading who changed a link: %w", err)
		}
		c.At = time.UnixMilli(at)
		changes = append(changes, c)
	}
	if err := rows.Err(); err != nil {
		return nil, queryFault(ctx, "claiming changes", err)
	}
	slices.SortFunc(changes, func(a, b LinkChange) int { return a.At.Compare(b.At) })
	return changes, nil
}

func (d *Database) forgetChanges(ctx context.Context, changes []LinkChange) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := change(ctx, d.writes, "forgetting changes",
		`DELETE FROM dropgate_audit_outbox WHERE id IN (SELECT value->>'i' FROM json_each($1))`, encodeChanges(changes))
	return err
}

func (d *Database) postponeChanges(ctx context.Context, changes []LinkChange, due time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := change(ctx, d.writes, "putting changes off",
		`UPDATE dropgate_audit_outbox SET due_at = $1 WHERE id IN (SELECT value->>'i' FROM json_each($2))`,
		due.UnixMilli(), encodeChanges(changes))
	return err
}
