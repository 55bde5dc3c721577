package customerdb_test

import (
	"testing"

	"dropgate/internal/customer/customerdb"
)

// The linking statement cannot see the unlink, which is committed later.
func TestEnrollWaitsForARunningUnlink(t *testing.T) {
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
	wantError(t, <-done, customerdb.ErrUnlinked)
	wantCustomer(t, d, "ann", "")
}

// The link is committed after the unlink has started.
func TestUnlinkWaitsForARunningLink(t *testing.T) {
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
	_, err := d.BeginEnrollment(t.Context(), "ann", customerA)
	wantError(t, err, customerdb.ErrUnlinked)
}
