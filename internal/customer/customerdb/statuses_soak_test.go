//go:build soak

package customerdb_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

// statusChange is a status in an event.
type statusChange struct {
	Status string
	At     int
}

func drawStatusChange(t *rapid.T) statusChange {
	return statusChange{
		rapid.SampledFrom([]string{"unverified", "verified", "document", "suspended", "deactivated"}).Draw(t, "status"),
		rapid.IntRange(0, 2).Draw(t, "at"),
	}
}

// settleInOrder settles one event per change of the Customer's status.
func settleInOrder(t fataler, d *customerdb.Database, customerID string, changes []statusChange) {
	for i, change := range changes {
		id := fmt.Sprint(customerID, "/", i)
		add(t, d, id, at(0))
		settle(t, d, id, customerdb.EventResult{CustomerID: customerID, Status: change.Status, ChangedAt: at(change.At)})
	}
}

// The latest status wins. At equal times the winner is always the same, and inactive
// if any of them is.
func statusesConvergeInAnyOrder(t *testing.T, open func() *customerdb.Database) {
	d := open()
	customers := 0
	rapid.Check(t, func(t *rapid.T) {
		changes := rapid.SliceOfN(rapid.Custom(drawStatusChange), 1, 5).Draw(t, "changes")
		first, second := customerNumber(customers), customerNumber(customers+1)
		customers += 2
		settleInOrder(t, d, first, changes)
		settleInOrder(t, d, second, rapid.Permutation(changes).Draw(t, "order"))

		status, err := d.Status(background(), first)
		wantError(t, err, nil)
		wantStoredStatus(t, d, second, status)
		latest := slices.MaxFunc(changes, func(a, b statusChange) int { return a.At - b.At }).At
		if !slices.Contains(changes, statusChange{status, latest}) {
			t.Fatalf("%q was not said last", status)
		}
		inactive := slices.ContainsFunc(changes, func(c statusChange) bool {
			return c.At == latest && clienttoken.CustomerStatus(c.Status).Inactive()
		})
		if inactive && !clienttoken.CustomerStatus(status).Inactive() {
			t.Fatalf("%q is not inactive", status)
		}
	})
}
