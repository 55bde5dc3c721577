package customerdb_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"dropgate/internal/customer/customerdb"
)

// Eight workers of two replicas claim and settle. Each event goes to one worker.
func eachEventGoesToOneWorker(t *testing.T, open func() *customerdb.Database) {
	const events = 100
	stores := []*customerdb.Database{open(), open()}
	for i := range events {
		add(t, stores[0], fmt.Sprint(i), at(0))
	}
	claims := make(chan string, 8*events)
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			settle := func(id string) error { return stores[i%2].Settle(t.Context(), id, customerdb.EventResult{}, at(2)) }
			if i < 4 {
				settle = func(string) error { return nil } // as after a crash
			}
			for work(t, stores[i%2], settle, claims) {
			}
		})
	}
	workers.Wait()
	close(claims)
	claimed := map[string]int{}
	for id := range claims {
		if claimed[id]++; claimed[id] > 1 {
			t.Errorf("event %s was claimed twice", id)
		}
	}
	if len(claimed) != events {
		t.Errorf("%d events were claimed, want %d", len(claimed), events)
	}
}

// work claims and settles one event. It returns false if none is due.
func work(t *testing.T, d *customerdb.Database, settle func(id string) error, claims chan<- string) bool {
	event, err := d.ClaimEvent(t.Context(), at(1), lease)
	if errors.Is(err, customerdb.ErrNoEvent) {
		return false
	}
	if err == nil {
		err = settle(event.ID)
	}
	if err != nil {
		t.Error(err)
		return false
	}
	claims <- event.ID
	return true
}

func oneOfManySettlersWins(t *testing.T, open func() *customerdb.Database) {
	d := open()
	add(t, d, "e", at(0))
	winner := onlyWinner(t, race(open, func(d *customerdb.Database, i int) error {
		effect := customerdb.EventResult{CustomerID: customerNumber(i), UserID: fmt.Sprint("user ", i)}
		return d.Settle(t.Context(), "e", effect, at(1))
	}), customerdb.ErrSettled)
	for i := range racers {
		want := ""
		if i == winner {
			want = customerNumber(i)
		}
		wantCustomer(t, d, fmt.Sprint("user ", i), want)
	}
}

// Links, unlinks and events for few users and Customers run concurrently. No call may
// block or return an undocumented error, and every link stays one to one.
func settlingRacesLinkAndUnlink(t *testing.T, open func() *customerdb.Database) {
	d := open()
	for i := range racers {
		add(t, d, fmt.Sprint(i), at(0))
	}
	for i, err := range race(open, func(d *customerdb.Database, i int) error {
		user, id := fmt.Sprint("user ", i%3), customerNumber(i%4)
		switch i % 5 {
		case 0:
			return d.Unlink(t.Context(), user)
		case 1:
			return d.Link(t.Context(), user, id)
		default:
			effect := customerdb.EventResult{CustomerID: id, UserID: user, Status: "verified", ChangedAt: at(i)}
			return d.Settle(t.Context(), fmt.Sprint(i), effect, at(1))
		}
	}) {
		if err != nil && !errors.Is(err, customerdb.ErrUserLinked) && !errors.Is(err, customerdb.ErrCustomerLinked) && !errors.Is(err, customerdb.ErrUnlinked) {
			t.Errorf("racer %d: %v", i, err)
		}
	}
	links, err := d.List(t.Context(), "", 100)
	wantError(t, err, nil)
	for _, link := range links {
		user, err := d.LinkedUser(t.Context(), link.CustomerID)
		if err != nil || user != link.UserID {
			t.Errorf("%s is the Customer of %q and of %q (error %v)", link.CustomerID, link.UserID, user, err)
		}
	}
}

func concurrentAddsHaveOneWinner(t *testing.T, open func() *customerdb.Database) {
	winners := 0
	var mutex sync.Mutex
	for _, err := range race(open, func(d *customerdb.Database, _ int) error {
		added, err := d.AddEvent(t.Context(), event("e"), at(0))
		if added {
			mutex.Lock()
			winners++
			mutex.Unlock()
		}
		return err
	}) {
		wantError(t, err, nil)
	}
	if winners != 1 {
		t.Errorf("%d callers added the event, want 1", winners)
	}
}
