package customerdb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// OutboxConfig configures an Outbox. All fields are required.
type OutboxConfig struct {
	Store *Database
	// Write writes the audit entry of a change. It returns nil once the audit trail
	// has accepted the entry, and an error within a bounded time otherwise.
	Write      func(ctx context.Context, change LinkChange) error
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Outbox passes link changes to the audit trail (docs/decisions/0019). A change made
// by this process is delivered right after its commit, before the caller gets an
// answer. Run drains the rest: entries the sink refused, and changes by commands and
// ended replicas.
//
// Only a crash between delivery and removal writes an entry twice.
type Outbox struct {
	config OutboxConfig
	depth  prometheus.Gauge

	mu    sync.Mutex
	fault error // of Run's last attempt
}

const (
	// outboxLease is how long one replica owns the changes it claims.
	outboxLease = time.Minute
	// outboxPoll is the interval between looks for changes of others.
	outboxPoll = time.Second
	// outboxRetry is the wait after the audit trail has refused an entry.
	outboxRetry = 5 * time.Second
	// outboxBatch bounds one claim. An import may leave a million changes.
	outboxBatch = 500
	// deliverWithin is how long the caller of a change waits for the audit trail. The
	// stored entry is as durable as the change, so the answer does not depend on
	// delivery.
	deliverWithin = 5 * time.Second
)

// NewOutbox returns the store's outbox. From now on the store delivers its changes
// through it.
func NewOutbox(c OutboxConfig) *Outbox {
	o := &Outbox{config: c, depth: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dropgate_audit_outbox_depth",
		Help: "Link changes waiting in the database for their audit entries, of all replicas.",
	})}
	c.Registerer.MustRegister(o.depth)
	c.Store.outbox.Store(o)
	return o
}

// deliver writes the entries of changes just committed by this process.
func (o *Outbox) deliver(ctx context.Context, changes []LinkChange) {
	if len(changes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	if err := o.write(ctx, changes); err != nil {
		o.config.Logger.Debug().Err(err).Msg("a link change waits in the database for its audit entry")
	}
}

// Run drains the outbox until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	for ctx.Err() == nil {
		written, err := o.drain(ctx)
		if ctx.Err() == nil {
			o.setFault(err)
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

// Fault returns why changes wait for their audit entries, or nil. The owners of the
// database and of the audit trail log outages, so the outbox does not.
func (o *Outbox) Fault() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fault
}

func (o *Outbox) setFault(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = err
}

// drain writes one batch and returns its size.
func (o *Outbox) drain(ctx context.Context) (int, error) {
	changes, err := o.config.Store.claimChanges(ctx, time.Now())
	if err != nil || len(changes) == 0 {
		return 0, err
	}
	return len(changes), o.write(ctx, changes)
}

// write writes the entries of claimed changes and removes them. It postpones changes
// the audit trail refused.
func (o *Outbox) write(ctx context.Context, changes []LinkChange) error {
	began, done := time.Now(), 0
	var failed error
	for _, c := range changes {
		if failed = o.config.Write(ctx, c); failed != nil {
			break
		}
		done++
		if time.Since(began) > outboxLease/2 { // before another replica takes over
			failed = fmt.Errorf("the audit trail accepted only %d entries in %s", done, outboxLease/2)
			break
		}
	}
	// Remove written entries even after ctx has ended.
	ctx = context.WithoutCancel(ctx)
	if err := o.config.Store.forgetChanges(ctx, changes[:done]); err != nil && failed == nil {
		failed = err
	}
	if done < len(changes) {
		_ = o.config.Store.postponeChanges(ctx, changes[done:], time.Now().Add(outboxRetry)) // on error, the lease ends
	}
	return failed
}

// Undelivered returns the number of changes without audit entries.
func (d *Database) Undelivered(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err = d.reads.QueryRowContext(ctx, `SELECT count(*) FROM dropgate_audit_outbox`).Scan(&n); err != nil {
		return 0, queryFault(ctx, "measuring the outbox", err)
	}
	return n, nil
}

// claimChanges leases the changes that have been due for longest.
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
	_, err := change(ctx, d.writes, "deleting delivered changes",
		`DELETE FROM dropgate_audit_outbox WHERE id IN (SELECT value->>'i' FROM json_each($1))`, encodeChanges(changes))
	return err
}

func (d *Database) postponeChanges(ctx context.Context, changes []LinkChange, due time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := change(ctx, d.writes, "postponing changes",
		`UPDATE dropgate_audit_outbox SET due_at = $1 WHERE id IN (SELECT value->>'i' FROM json_each($2))`,
		due.UnixMilli(), encodeChanges(changes))
	return err
}
