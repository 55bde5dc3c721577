package customerdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/customer/customerdb"
)

// at returns a time, s seconds into the tests' day.
func at(s int) time.Time { return time.Date(2026, 3, 1, 0, 0, s, 0, time.UTC) }

const lease = time.Minute

func event(id string) customerdb.WebhookEvent {
	return customerdb.WebhookEvent{ID: id, Topic: "customer_created", CustomerID: customerA, Created: at(-1)}
}

func add(t fataler, d *customerdb.Database, id string, now time.Time) {
	t.Helper()
	if added, err := d.AddEvent(background(), event(id), now); err != nil || !added {
		t.Fatalf("adding %q: %v, %v", id, added, err)
	}
}

// wantNext claims the next event, whose id must be want; "" means none.
func wantNext(t fataler, d *customerdb.Database, now time.Time, want string) customerdb.WebhookEvent {
	t.Helper()
	got, err := d.ClaimEvent(background(), now, lease)
	if want == "" {
		wantError(t, err, customerdb.ErrNoEvent)
		return got
	}
	if err != nil || got.ID != want {
		t.Fatalf("the next event is %q (error %v), want %q", got.ID, err, want)
	}
	return got
}

func settle(t fataler, d *customerdb.Database, id string, effect customerdb.EventResult) {
	t.Helper()
	wantError(t, d.Settle(background(), id, effect, at(5)), nil)
}

func wantQueue(t fataler, d *customerdb.Database, want customerdb.EventBacklog) {
	t.Helper()
	got, err := d.Backlog(background())
	if err != nil || got.Depth != want.Depth || !got.Oldest.Equal(want.Oldest) || !want.Latest.IsZero() && !got.Latest.Equal(want.Latest) {
		t.Fatalf("the queue is %v (error %v), want %v", got, err, want)
	}
}

func wantStoredStatus(t fataler, d *customerdb.Database, customerID, want string) {
	t.Helper()
	if got, err := d.Status(background(), customerID); err != nil || got != want {
		t.Fatalf("the status of %s is %q (error %v), want %q", customerID, got, err, want)
	}
}

func eventsAreStoredUnchanged(t *testing.T, open func() *customerdb.Database) {
	d := open()
	want := customerdb.WebhookEvent{
		ID: "e 1 🦆", Topic: "customer_suspended", CustomerID: strings.ToUpper(customerA),
		Created: time.UnixMilli(1700000000123).UTC(),
	}
	if added, err := d.AddEvent(t.Context(), want, at(0)); err != nil || !added {
		t.Fatal(added, err)
	}
	for want.Attempts = 1; want.Attempts <= 3; want.Attempts++ {
		got := wantNext(t, open(), at(100*want.Attempts), want.ID)
		want.CustomerID, want.Received = customerA, at(0)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("attempt %d (-want +got):\n%s", want.Attempts, diff)
		}
	}
}

func eventsAreAddedOnce(t *testing.T, open func() *customerdb.Database) {
	d := open()
	add(t, d, "e", at(0))
	again := func() {
		t.Helper()
		if added, err := open().AddEvent(t.Context(), event("e"), at(1)); err != nil || added {
			t.Fatalf("added %v (error %v), want false", added, err)
		}
	}
	again()
	wantNext(t, d, at(2), "e")
	again()
	settle(t, d, "e", customerdb.EventResult{})
	again()
	wantNext(t, d, at(1000), "")
}

func leasesKeepOthersAway(t *testing.T, open func() *customerdb.Database) {
	d, replica := open(), open()
	add(t, d, "e", at(0))
	wantNext(t, d, at(0), "e")
	wantNext(t, replica, at(59), "")
	wantNext(t, replica, at(60), "e") // whoever had it is taken for dead
	wantNext(t, d, at(119), "")
}

func longestDueEventComesFirst(t *testing.T, open func() *customerdb.Database) {
	d := open()
	for i, id := range []string{"b", "c", "a"} {
		add(t, d, id, at(i))
	}
	wantQueue(t, d, customerdb.EventBacklog{Depth: 3, Oldest: at(0), Latest: at(2)})
	wantNext(t, d, at(-1), "") // not yet
	for _, id := range []string{"b", "c", "a", ""} {
		wantNext(t, d, at(3), id)
	}
	wantQueue(t, d, customerdb.EventBacklog{Depth: 3, Oldest: at(0), Latest: at(2)}) // claimed, but not settled
	settle(t, d, "b", customerdb.EventResult{})
	wantQueue(t, d, customerdb.EventBacklog{Depth: 2, Oldest: at(1), Latest: at(2)})
}

func postponedEventsWait(t *testing.T, open func() *customerdb.Database) {
	d := open()
	add(t, d, "e", at(0))
	wantNext(t, d, at(0), "e")
	wantError(t, d.PostponeEvent(t.Context(), "e", at(10)), nil)
	wantNext(t, d, at(9), "")
	wantNext(t, d, at(10), "e")
	settle(t, d, "e", customerdb.EventResult{})
	wantError(t, d.PostponeEvent(t.Context(), "e", at(10)), nil)
	wantNext(t, d, at(1000), "")
	wantError(t, d.PostponeEvent(t.Context(), "unheard of", at(10)), nil)
}

func eventsAreSettledOnce(t *testing.T, open func() *customerdb.Database) {
	d := open()
	wantError(t, d.Settle(t.Context(), "unheard of", customerdb.EventResult{}, at(0)), customerdb.ErrSettled)
	add(t, d, "e", at(0))
	effect := customerdb.EventResult{CustomerID: strings.ToUpper(customerA), UserID: "ann", Status: "verified", ChangedAt: at(0)}
	settle(t, d, "e", effect)
	wantCustomer(t, d, "ann", customerA)
	wantStoredStatus(t, d, strings.ToUpper(customerA), "verified")
	wantQueue(t, d, customerdb.EventBacklog{})

	effect = customerdb.EventResult{CustomerID: customerB, UserID: "bob", Status: "suspended", ChangedAt: at(9)}
	wantError(t, open().Settle(t.Context(), "e", effect, at(9)), customerdb.ErrSettled)
	wantCustomer(t, d, "bob", "")
	wantStoredStatus(t, d, customerB, "")
}

func resultsAreAtomic(t *testing.T, open func() *customerdb.Database) {
	d := open()
	link(t, d, "ann", customerA)
	add(t, d, "e", at(0))
	wantNext(t, d, at(0), "e")
	for user, want := range map[string]error{"ann": customerdb.ErrUserLinked, "bob": customerdb.ErrCustomerLinked} {
		id := map[string]string{"ann": customerB, "bob": customerA}[user]
		effect := customerdb.EventResult{CustomerID: id, UserID: user, Status: "verified", ChangedAt: at(0)}
		wantError(t, d.Settle(t.Context(), "e", effect, at(1)), want)
		wantStoredStatus(t, d, id, "")
	}
	wantCustomer(t, d, "bob", "")
	wantQueue(t, d, customerdb.EventBacklog{Depth: 1, Oldest: at(0)})
	wantNext(t, d, at(60), "e")
	effect := customerdb.EventResult{CustomerID: "no id", UserID: "bob"}
	if err := d.Settle(t.Context(), "e", effect, at(1)); err == nil {
		t.Error("an event about no Customer made a link")
	}
	wantQueue(t, d, customerdb.EventBacklog{Depth: 1, Oldest: at(0)})
	// An existing equal link is not a conflict.
	settle(t, d, "e", customerdb.EventResult{CustomerID: customerA, UserID: "ann"})
	wantQueue(t, d, customerdb.EventBacklog{})
}

func oldSettledEventsAreDeleted(t *testing.T, open func() *customerdb.Database) {
	d := open()
	for i, id := range []string{"old", "old and settled", "settled"} {
		add(t, d, id, at(i))
	}
	settle(t, d, "old and settled", customerdb.EventResult{})
	settle(t, d, "settled", customerdb.EventResult{})
	for _, want := range []int{1, 0} {
		if n, err := d.ForgetEvents(t.Context(), at(2)); err != nil || n != want {
			t.Fatalf("forgot %d (error %v), want %d", n, err, want)
		}
	}
	if added, err := d.AddEvent(t.Context(), event("settled"), at(3)); err != nil || added {
		t.Errorf("a settled event was added again: %v, %v", added, err)
	}
	add(t, d, "old and settled", at(3))
	wantNext(t, d, at(4), "old")
}
