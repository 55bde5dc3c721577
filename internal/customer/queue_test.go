package customer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/customer"
)

// at is a moment, s seconds into the tests' day.
func at(s int) time.Time { return time.Date(2026, 3, 1, 0, 0, s, 0, time.UTC) }

const lease = time.Minute

func event(id string) customer.Event {
	return customer.Event{ID: id, Topic: "customer_created", CustomerID: customerA, Created: at(-1)}
}

func add(t fataler, d *customer.Database, id string, now time.Time) {
	t.Helper()
	if added, err := d.AddEvent(background(), event(id), now); err != nil || !added {
		t.Fatalf("adding %q: %v, %v", id, added, err)
	}
}

// wantNext claims the next event, whose id has to be want; "" stands for none.
func wantNext(t fataler, d *customer.Database, now time.Time, want string) customer.Event {
	t.Helper()
	got, err := d.NextEvent(background(), now, lease)
	if want == "" {
		wantError(t, err, customer.ErrNoEvent)
		return got
	}
	if err != nil || got.ID != want {
		t.Fatalf("the next event is %q (error %v), want %q", got.ID, err, want)
	}
	return got
}

func settle(t fataler, d *customer.Database, id string, effect customer.Effect) {
	t.Helper()
	wantError(t, d.Settle(background(), id, effect, at(5)), nil)
}

func wantQueue(t fataler, d *customer.Database, want customer.Queue) {
	t.Helper()
	got, err := d.Queue(background())
	if err != nil || got.Depth != want.Depth || !got.Oldest.Equal(want.Oldest) {
		t.Fatalf("the queue is %v (error %v), want %v", got, err, want)
	}
}

func wantKeptStatus(t fataler, d *customer.Database, customerID, want string) {
	t.Helper()
	if got, err := d.Status(background(), customerID); err != nil || got != want {
		t.Fatalf("the status of %s is %q (error %v), want %q", customerID, got, err, want)
	}
}

func eventsComeBackAsTheyWere(t *testing.T, open func() *customer.Database) {
	d := open()
	want := customer.Event{
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

func anEventIsTakenOnce(t *testing.T, open func() *customer.Database) {
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
	settle(t, d, "e", customer.Effect{})
	again()
	wantNext(t, d, at(1000), "")
}

func aLeaseKeepsOthersOff(t *testing.T, open func() *customer.Database) {
	d, replica := open(), open()
	add(t, d, "e", at(0))
	wantNext(t, d, at(0), "e")
	wantNext(t, replica, at(59), "")
	wantNext(t, replica, at(60), "e") // whoever had it is taken for dead
	wantNext(t, d, at(119), "")
}

func theLongestDueComesFirst(t *testing.T, open func() *customer.Database) {
	d := open()
	for i, id := range []string{"b", "c", "a"} {
		add(t, d, id, at(i))
	}
	wantQueue(t, d, customer.Queue{Depth: 3, Oldest: at(0)})
	wantNext(t, d, at(-1), "") // not yet
	for _, id := range []string{"b", "c", "a", ""} {
		wantNext(t, d, at(3), id)
	}
	wantQueue(t, d, customer.Queue{Depth: 3, Oldest: at(0)}) // claimed is not settled
	settle(t, d, "b", customer.Effect{})
	wantQueue(t, d, customer.Queue{Depth: 2, Oldest: at(1)})
}

func aRetryWaits(t *testing.T, open func() *customer.Database) {
	d := open()
	add(t, d, "e", at(0))
	wantNext(t, d, at(0), "e")
	wantError(t, d.Retry(t.Context(), "e", at(10)), nil)
	wantNext(t, d, at(9), "")
	wantNext(t, d, at(10), "e")
	settle(t, d, "e", customer.Effect{})
	wantError(t, d.Retry(t.Context(), "e", at(10)), nil)
	wantNext(t, d, at(1000), "")
	wantError(t, d.Retry(t.Context(), "unheard of", at(10)), nil)
}

func anEventIsSettledOnce(t *testing.T, open func() *customer.Database) {
	d := open()
	wantError(t, d.Settle(t.Context(), "unheard of", customer.Effect{}, at(0)), customer.ErrSettled)
	add(t, d, "e", at(0))
	effect := customer.Effect{CustomerID: strings.ToUpper(customerA), UserID: "ann", Status: "verified", ChangedAt: at(0)}
	settle(t, d, "e", effect)
	wantCustomer(t, d, "ann", customerA)
	wantKeptStatus(t, d, strings.ToUpper(customerA), "verified")
	wantQueue(t, d, customer.Queue{})

	effect = customer.Effect{CustomerID: customerB, UserID: "bob", Status: "suspended", ChangedAt: at(9)}
	wantError(t, open().Settle(t.Context(), "e", effect, at(9)), customer.ErrSettled)
	wantCustomer(t, d, "bob", "")
	wantKeptStatus(t, d, customerB, "")
}

func anEffectHappensAsAWhole(t *testing.T, open func() *customer.Database) {
	d := open()
	link(t, d, "ann", customerA)
	add(t, d, "e", at(0))
	wantNext(t, d, at(0), "e")
	for user, want := range map[string]error{"ann": customer.ErrUserLinked, "bob": customer.ErrCustomerLinked} {
		id := map[string]string{"ann": customerB, "bob": customerA}[user]
		effect := customer.Effect{CustomerID: id, UserID: user, Status: "verified", ChangedAt: at(0)}
		wantError(t, d.Settle(t.Context(), "e", effect, at(1)), want)
		wantKeptStatus(t, d, id, "")
	}
	wantCustomer(t, d, "bob", "")
	wantQueue(t, d, customer.Queue{Depth: 1, Oldest: at(0)})
	wantNext(t, d, at(60), "e")
	effect := customer.Effect{CustomerID: "no id", UserID: "bob"}
	if err := d.Settle(t.Context(), "e", effect, at(1)); err == nil {
		t.Error("what is no Customer was linked")
	}
	wantQueue(t, d, customer.Queue{Depth: 1, Oldest: at(0)})
	// The link that is there already is no fault.
	settle(t, d, "e", customer.Effect{CustomerID: customerA, UserID: "ann"})
	wantQueue(t, d, customer.Queue{})
}

func settledEventsAreForgotten(t *testing.T, open func() *customer.Database) {
	d := open()
	for i, id := range []string{"old", "old and settled", "settled"} {
		add(t, d, id, at(i))
	}
	settle(t, d, "old and settled", customer.Effect{})
	settle(t, d, "settled", customer.Effect{})
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
