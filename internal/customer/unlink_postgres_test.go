package customer_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"dropgate/internal/customer"
)

// blocked waits until a connection of the schema's waits for a lock.
func (p postgres) blocked(t *testing.T) {
	t.Helper()
	server := other(t, with(t, p.url, "application_name", "blocked"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for waiting := 0; waiting == 0; {
		if err := server.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = $1 AND wait_event_type = 'Lock'`, p.name).Scan(&waiting); err != nil {
			t.Fatalf("nobody waits for a lock: %v", err)
		}
	}
}

// half is what another replica has done in a transaction that is not committed.
func (p postgres) half(t *testing.T, statements ...string) *sql.Tx {
	t.Helper()
	tx, err := other(t, p.url).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return tx
}

// The attempt comes while the unlink is not committed: what the statement that
// links sees is older than the unlink.
func TestAnAttemptWaitsForAnUnlinkUnderWay(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	d := p.open(t)
	attempt := begin(t, d, "ann", customerA)
	unlinking := p.half(t,
		`UPDATE dropgate_unlinks SET unlinks = unlinks + 1`,
		`INSERT INTO dropgate_unlinked_users (user_id, unlinks, unlinked_at) SELECT 'ann', unlinks, 1 FROM dropgate_unlinks`)
	done := make(chan error)
	go func() { done <- d.Enroll(t.Context(), attempt) }()
	p.blocked(t)
	if err := unlinking.Commit(); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-done, customer.ErrUnlinked)
	wantCustomer(t, d, "ann", "")
}

// The unlink comes while the link is not committed: it must not overlook it.
func TestAnUnlinkWaitsForALinkUnderWay(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	d := p.open(t)
	linking := p.half(t,
		`SELECT unlinks FROM dropgate_unlinks FOR SHARE`,
		`INSERT INTO dropgate_links (user_id, customer_id, linked_at) VALUES ('ann', '`+customerA+`', 1)`)
	done := make(chan error)
	go func() { done <- d.Unlink(t.Context(), "ann") }()
	p.blocked(t)
	if err := linking.Commit(); err != nil {
		t.Fatal(err)
	}
	wantError(t, <-done, nil)
	wantCustomer(t, d, "ann", "")
	_, err := d.Begin(t.Context(), "ann", customerA)
	wantError(t, err, customer.ErrUnlinked)
}
