//go:build soak

package customerdb_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dropgate/internal/customer/customerdb"
)

// followsTheModel runs random links, unlinks and events on two stores of one database
// and on two maps. They must agree after each step.
func followsTheModel(t *testing.T, open func() *customerdb.Database) {
	stores := []*customerdb.Database{open(), open()}
	run, unlinked := 0, map[[2]string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := &model{
			stores: stores, run: run, customerOf: map[string]string{}, userOf: map[string]string{},
			events: map[string]bool{}, settled: map[string]bool{}, unlinked: unlinked,
		}
		for userID, customerID := range listAll(t, stores[0], 100) {
			unlink(t, stores[0], userID)
			unlinked[[2]string{userID, customerID}] = true
		}
		t.Repeat(rapid.StateMachineActions(m))
	})
}

// model is the expected state. rapid picks its exported methods as steps, and runs
// Check after each.
type model struct {
	stores     []*customerdb.Database
	customerOf map[string]string // by user
	userOf     map[string]string // by Customer
	run        int               // gives each run its own events
	checks     int
	events     map[string]bool    // stored, by id
	settled    map[string]bool    // by id
	unlinked   map[[2]string]bool // pairs unlinked for good
}

func (m *model) users() []string { return []string{"ann", "Ann", "bob", "ça", "🦆"} }

func (m *model) draw(t *rapid.T) (s *customerdb.Database, userID string) {
	return rapid.SampledFrom(m.stores).Draw(t, "store"), rapid.SampledFrom(m.users()).Draw(t, "user")
}

func (m *model) drawCustomer(t *rapid.T) string {
	return customerNumber(rapid.IntRange(1, 5).Draw(t, "Customer"))
}

// wantLink returns the expected error of a link.
func (m *model) wantLink(userID, customerID string) error {
	if own, linked := m.customerOf[userID]; linked && own != customerID {
		return customerdb.ErrUserLinked
	}
	if owner, taken := m.userOf[customerID]; taken && owner != userID {
		return customerdb.ErrCustomerLinked
	}
	return nil
}

func (m *model) Link(t *rapid.T) {
	s, userID := m.draw(t)
	customerID := m.drawCustomer(t)
	want := m.wantLink(userID, customerID)
	wantError(t, s.Link(background(), userID, customerID), want)
	if want == nil {
		m.customerOf[userID], m.userOf[customerID] = customerID, userID
	}
}

func (m *model) Unlink(t *rapid.T) {
	s, userID := m.draw(t)
	unlink(t, s, userID)
	if own, linked := m.customerOf[userID]; linked {
		m.unlinked[[2]string{userID, own}] = true
	}
	delete(m.userOf, m.customerOf[userID])
	delete(m.customerOf, userID)
}

// Find finds a Customer's user.
func (m *model) Find(t *rapid.T) {
	s, _ := m.draw(t)
	customerID := m.drawCustomer(t)
	user, err := s.LinkedUser(background(), customerID)
	if owner, taken := m.userOf[customerID]; taken {
		wantError(t, err, nil)
		if user != owner {
			t.Fatalf("%s is the Customer of %q, want %q", customerID, user, owner)
		}
		return
	}
	wantError(t, err, customerdb.ErrNoUser)
}

// Settle settles a linking event, perhaps again.
func (m *model) Settle(t *rapid.T) {
	s, userID := m.draw(t)
	customerID := m.drawCustomer(t)
	id := fmt.Sprint(m.run, "/", rapid.IntRange(0, 9).Draw(t, "event"))
	added, err := s.AddEvent(background(), event(id), at(0))
	wantError(t, err, nil)
	if known := m.events[id]; added == known {
		t.Fatalf("added %v an event that is known: %v", added, known)
	}
	m.events[id] = true
	began, err := s.BeginEnrollment(background(), userID, "")
	wantError(t, err, nil)
	want := m.wantLink(userID, customerID)
	unlinked := m.unlinked[[2]string{userID, customerID}] && m.customerOf[userID] != customerID
	switch {
	case m.settled[id]:
		want = customerdb.ErrSettled
	case unlinked:
		want, m.settled[id] = customerdb.ErrUnlinked, true
	}
	effect := customerdb.EventResult{CustomerID: customerID, UserID: userID, Began: began}
	wantError(t, s.Settle(background(), id, effect, at(1)), want)
	if want == nil {
		m.settled[id] = true
		m.customerOf[userID], m.userOf[customerID] = customerID, userID
	}
}

func (m *model) Check(t *rapid.T) {
	m.checks++
	s := m.stores[m.checks%len(m.stores)]
	if diff := cmp.Diff(m.customerOf, listAll(t, s, 100)); diff != "" {
		t.Fatalf("links (-model +store):\n%s", diff)
	}
}
