package customer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// followsTheModel plays random links and unlinks on two stores of one database
// and on two maps, which must agree after each step.
func followsTheModel(t *testing.T, open func() customer.Store) {
	stores := []customer.Store{open(), open()}
	rapid.Check(t, func(t *rapid.T) {
		m := &model{stores: stores, customerOf: map[string]string{}, userOf: map[string]string{}}
		for _, userID := range m.users() {
			unlink(t, stores[0], userID)
		}
		t.Repeat(rapid.StateMachineActions(m))
	})
}

// model is what the stores should hold. Its exported methods are the steps
// that rapid picks from; Check runs after each.
type model struct {
	stores     []customer.Store
	customerOf map[string]string // by user
	userOf     map[string]string // by Customer
}

func (m *model) users() []string { return []string{"ann", "Ann", "bob", "ça", "🦆"} }

func (m *model) draw(t *rapid.T) (s customer.Store, userID string) {
	return rapid.SampledFrom(m.stores).Draw(t, "store"), rapid.SampledFrom(m.users()).Draw(t, "user")
}

func (m *model) Link(t *rapid.T) {
	s, userID := m.draw(t)
	customerID := customerNumber(rapid.IntRange(1, 5).Draw(t, "Customer"))
	own, linked := m.customerOf[userID]
	owner, taken := m.userOf[customerID]
	err := s.Link(context.Background(), userID, customerID)
	switch {
	case linked && own != customerID:
		wantError(t, err, customer.ErrUserLinked)
	case taken && owner != userID:
		wantError(t, err, customer.ErrCustomerLinked)
	default:
		wantError(t, err, nil)
		m.customerOf[userID], m.userOf[customerID] = customerID, userID
	}
}

func (m *model) Unlink(t *rapid.T) {
	s, userID := m.draw(t)
	unlink(t, s, userID)
	delete(m.userOf, m.customerOf[userID])
	delete(m.customerOf, userID)
}

func (m *model) Check(t *rapid.T) {
	for _, s := range m.stores {
		customerOf, userOf := map[string]string{}, map[string]string{}
		for _, userID := range m.users() {
			id, err := s.Customer(context.Background(), userID)
			if errors.Is(err, clienttoken.ErrNoCustomer) {
				continue
			}
			wantError(t, err, nil)
			if other, taken := userOf[id]; taken {
				t.Fatalf("%s is the Customer of %q and of %q", id, other, userID)
			}
			customerOf[userID], userOf[id] = id, userID
		}
		if diff := cmp.Diff(m.customerOf, customerOf); diff != "" {
			t.Fatalf("links (-model +store):\n%s", diff)
		}
	}
}
