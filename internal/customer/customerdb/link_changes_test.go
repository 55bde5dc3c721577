package customerdb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// trail is an audit trail with a switch for outages.
type trail struct {
	mu      sync.Mutex
	broken  error
	entries []customerdb.LinkChange
}

func (a *trail) write(_ context.Context, c customerdb.LinkChange) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken != nil {
		return a.broken
	}
	a.entries = append(a.entries, c)
	return nil
}

func (a *trail) recover() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = nil
}

// lines returns the entries so far: who did what to whom.
func (a *trail) lines() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var lines []string
	for _, c := range a.entries {
		lines = append(lines, fmt.Sprint(c.Cause.Operator, " ", c.Kind, " ", c.UserID, " ", c.CustomerID))
	}
	return lines
}

func (a *trail) of(d *customerdb.Database) *customerdb.Outbox {
	return customerdb.NewOutbox(customerdb.OutboxConfig{
		Store: d, Write: a.write, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
}

// drained runs the outboxes until d's outbox is empty.
func drained(t *testing.T, d *customerdb.Database, boxes ...*customerdb.Outbox) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, o := range boxes {
		running.Go(func() { o.Run(ctx) })
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		n, err := d.Undelivered(t.Context())
		if err == nil && n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%d entries wait, error %v", n, err)
			break
		}
	}
	stop()
	running.Wait()
}

func wantUndelivered(t *testing.T, d *customerdb.Database, want int) {
	t.Helper()
	if n, err := d.Undelivered(t.Context()); err != nil || n != want {
		t.Fatalf("%d entries wait, error %v, want %d", n, err, want)
	}
}

func eachChangeHasOneEntry(t *testing.T, open func() *customerdb.Database) {
	d := open()
	var a trail
	a.of(d)
	ctx := clienttoken.Cause{Mode: "admin", Operator: "olga", RequestID: "r"}.NewContext(t.Context())
	began, err := d.BeginEnrollment(ctx, "bob", customerB)
	wantError(t, err, nil)
	add(t, d, "e", at(0))
	for range 2 { // the second round changes nothing
		wantError(t, d.Link(ctx, "ann", customerA), nil)
		wantError(t, d.Enroll(ctx, customerdb.EnrollmentAttempt{UserID: "bob", CustomerID: customerB, Began: began}), nil)
		err := d.Settle(ctx, "e", customerdb.EventResult{UserID: "carl", CustomerID: customerNumber(1), Began: began}, at(1))
		if err != nil && !errors.Is(err, customerdb.ErrSettled) {
			t.Fatal(err)
		}
		load := customer.CSVImport{API: sandbox(t), Bad: func(int, error) {}, Progress: func(customer.ImportCounts) {}}
		lines := "ann," + customerB + "\ndora," + customerNumber(2) + "\nbob," + customerB + "\nemil," + customerNumber(3)
		_, err = load.Run(ctx, d, strings.NewReader(lines))
		wantError(t, err, nil)
		load.DryRun = true
		_, err = load.Run(ctx, d, strings.NewReader("fred,"+customerNumber(4)))
		wantError(t, err, nil)
		wantError(t, d.Link(ctx, "ann", customerB), customerdb.ErrUserLinked)
		wantError(t, d.Link(ctx, "gina", customerB), customerdb.ErrCustomerLinked)
	}
	for range 2 {
		wantError(t, d.Unlink(ctx, "ann"), nil)
	}
	want := []string{
		"olga linked ann " + customerA, "olga linked bob " + customerB, "olga linked carl " + customerNumber(1),
		"olga linked dora " + customerNumber(2), "olga linked emil " + customerNumber(3), "olga unlinked ann " + customerA,
	}
	got := a.lines()
	slices.Sort(got[3:5]) // rows of one import have no order
	if !slices.Equal(got, want) {
		t.Errorf("the entries are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantUndelivered(t, d, 0)
}

// The caller leaves right after the commit.
func entriesOutliveTheirCaller(t *testing.T, open func() *customerdb.Database) {
	d := open()
	var a trail
	ctx, leave := context.WithCancel(t.Context())
	customerdb.NewOutbox(customerdb.OutboxConfig{
		Store: d, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		Write: func(ctx context.Context, c customerdb.LinkChange) error {
			leave()
			if err := ctx.Err(); err != nil {
				return err
			}
			return a.write(ctx, c)
		},
	})
	wantError(t, d.Link(ctx, "ann", customerA), nil)
	if got := a.lines(); len(got) != 1 {
		t.Errorf("entries %v, want one", got)
	}
	wantUndelivered(t, d, 0)
}

// A command imports without an audit trail of its own.
func replicasShareEntries(t *testing.T, open func() *customerdb.Database) {
	const many = 3000
	var rows []customerdb.LinkRow
	for i := range many {
		rows = append(rows, customerdb.LinkRow{UserID: fmt.Sprint("user ", i), CustomerID: customerNumber(i)})
	}
	command, one, two := open(), open(), open()
	batch := command.Import()
	defer batch.Close()
	_, err := batch.Add(t.Context(), rows)
	wantError(t, err, nil)
	wantUndelivered(t, command, many)
	var a trail
	drained(t, command, a.of(one), a.of(two))
	seen := map[string]bool{}
	for _, c := range a.entries {
		if seen[c.UserID] || c.ID == "" {
			t.Fatalf("entry %+v is there twice", c)
		}
		seen[c.UserID] = true
	}
	if len(seen) != many {
		t.Errorf("%d entries, want %d", len(seen), many)
	}
}

// begin starts an attempt of the user.
func begin(t *testing.T, d *customerdb.Database, userID, customerID string) customerdb.EnrollmentAttempt {
	t.Helper()
	began, err := d.BeginEnrollment(t.Context(), userID, customerID)
	wantError(t, err, nil)
	return customerdb.EnrollmentAttempt{UserID: userID, CustomerID: customerID, Began: began}
}

func unlinkStopsEarlierAttempts(t *testing.T, open func() *customerdb.Database) {
	d := open()
	linked := begin(t, d, "ann", customerA)
	never := begin(t, d, "bob", customerB)
	wantError(t, d.Enroll(t.Context(), linked), nil)
	unlink(t, open(), "ann")
	unlink(t, open(), "bob") // who has no link yet
	for range 2 {
		for _, attempt := range []customerdb.EnrollmentAttempt{linked, never} {
			wantError(t, d.Enroll(t.Context(), attempt), customerdb.ErrUnlinked)
			wantCustomer(t, d, attempt.UserID, "")
			_, err := d.BeginEnrollment(t.Context(), attempt.UserID, attempt.CustomerID)
			wantError(t, err, customerdb.ErrUnlinked) // as if the attempt had come first
		}
	}
	wantError(t, d.Enroll(t.Context(), begin(t, d, "carl", customerB)), nil) // another user, later
	wantError(t, d.Enroll(t.Context(), begin(t, d, "bob", customerA)), nil)  // another Customer, later
	unlink(t, d, "carl")
	link(t, d, "carl", customerB) // an operator's word
	wantError(t, d.Enroll(t.Context(), customerdb.EnrollmentAttempt{UserID: "carl", CustomerID: customerB}), nil)
}

func unlinkStopsEarlierWebhooks(t *testing.T, open func() *customerdb.Database) {
	d := open()
	received := time.Now()
	for _, id := range []string{"before", "late"} {
		if id == "late" {
			unlink(t, d, "ann")
		}
		if _, err := d.AddEvent(t.Context(), customerdb.WebhookEvent{ID: id, Topic: "customer_created", Created: received}, received); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		e, err := d.ClaimEvent(t.Context(), received.Add(time.Second), time.Minute)
		wantError(t, err, nil)
		effect := customerdb.EventResult{UserID: "ann", CustomerID: customerA, Began: e.Unlinks, ChangedAt: e.Created, Status: "verified"}
		wantError(t, d.Settle(t.Context(), e.ID, effect, received), customerdb.ErrUnlinked)
		wantError(t, d.Settle(t.Context(), e.ID, effect, received), customerdb.ErrSettled)
	}
	wantCustomer(t, d, "ann", "")
	wantStoredStatus(t, d, customerA, "verified")
	later := customerdb.WebhookEvent{ID: "later", Topic: "customer_created", Created: time.Now().Add(time.Second)}
	if _, err := d.AddEvent(t.Context(), later, time.Now()); err != nil {
		t.Fatal(err)
	}
	e, err := d.ClaimEvent(t.Context(), time.Now(), time.Minute)
	wantError(t, err, nil)
	wantError(t, d.Settle(t.Context(), e.ID, customerdb.EventResult{UserID: "ann", CustomerID: customerB, Began: e.Unlinks, ChangedAt: e.Created}, time.Now()), nil)
	wantCustomer(t, d, "ann", customerB)
}

// Earlier attempts race unlinks. No link may remain.
func attemptsRaceUnlinks(t *testing.T, open func() *customerdb.Database) {
	d := open()
	var attempts []customerdb.EnrollmentAttempt
	for n := range 3 {
		attempts = append(attempts, begin(t, d, fmt.Sprint("user ", n), customerNumber(n)))
	}
	for i, err := range race(open, func(d *customerdb.Database, i int) error {
		attempt := attempts[i%3]
		if i%9 < 3 {
			return d.Unlink(t.Context(), attempt.UserID)
		}
		return d.Enroll(t.Context(), attempt)
	}) {
		if err != nil && !errors.Is(err, customerdb.ErrUnlinked) {
			t.Fatalf("racer %d: %v", i, err)
		}
	}
	for _, attempt := range attempts {
		wantCustomer(t, d, attempt.UserID, "")
	}
}
