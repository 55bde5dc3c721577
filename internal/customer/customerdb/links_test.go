package customerdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

func linkedUserIsFound(t *testing.T, open func() *customerdb.Database) {
	d := open()
	_, err := d.LinkedUser(t.Context(), customerA)
	wantError(t, err, customerdb.ErrNoUser)
	link(t, d, "ann", customerA)
	for _, id := range []string{customerA, strings.ToUpper(customerA)} {
		if user, err := d.LinkedUser(t.Context(), id); err != nil || user != "ann" {
			t.Errorf("%s is the Customer of %q (error %v), want ann", id, user, err)
		}
	}
	unlink(t, d, "ann")
	_, err = d.LinkedUser(t.Context(), customerA)
	wantError(t, err, customerdb.ErrNoUser)
}

func linksHaveATime(t *testing.T, open func() *customerdb.Database) {
	d := open()
	_, err := d.Find(t.Context(), "ann")
	wantError(t, err, clienttoken.ErrNoCustomer)
	before := time.Now().Truncate(time.Millisecond)
	link(t, d, "ann", customerA)
	first, err := d.Find(t.Context(), "ann")
	if err != nil || first.UserID != "ann" || first.CustomerID != customerA {
		t.Fatalf("found %v (error %v)", first, err)
	}
	if first.LinkedAt.Before(before) || first.LinkedAt.After(time.Now()) {
		t.Errorf("linked at %v, want between %v and now", first.LinkedAt, before)
	}
	link(t, d, "ann", customerA)
	if again, err := d.Find(t.Context(), "ann"); err != nil || again != first {
		t.Errorf("found %v (error %v) after linking again, want %v", again, err, first)
	}
}

func pagesHoldEveryLinkOnce(t *testing.T, open func() *customerdb.Database) {
	d := open()
	want := map[string]string{}
	for i, user := range []string{"b", "B", "a", "á", "ab", "a b", "a,b", "-", "_", "10", "9", "🦆", "ß", "ss", "Z", "z", "'", `"`, "%"} {
		link(t, d, user, customerNumber(i))
		want[user] = customerNumber(i)
	}
	for _, limit := range []int{1, 2, len(want), len(want) + 1} {
		if diff := cmp.Diff(want, listAll(t, d, limit)); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

// listAll returns all links by user, read in pages of limit.
func listAll(t fataler, d *customerdb.Database, limit int) map[string]string {
	t.Helper()
	links, after := map[string]string{}, ""
	for {
		page, err := d.List(background(), after, limit)
		if err != nil || len(page) > limit {
			t.Fatalf("a page of %d links (error %v), want %d at most", len(page), err, limit)
		}
		if len(page) == 0 {
			return links
		}
		for _, link := range page {
			if _, seen := links[link.UserID]; seen {
				t.Fatalf("%q is there twice", link.UserID)
			}
			links[link.UserID], after = link.CustomerID, link.UserID
		}
	}
}

func firstUserOfACorrelationIDStays(t *testing.T, open func() *customerdb.Database) {
	d := open()
	_, err := d.CorrelationUser(t.Context(), "dg1.a")
	wantError(t, err, customerdb.ErrNoUser)
	for _, user := range []string{"ann", "ann", "bob"} {
		wantError(t, d.SaveCorrelation(t.Context(), "dg1.a", user), nil)
	}
	wantError(t, d.SaveCorrelation(t.Context(), "dg1.b", "ann"), nil) // after a change of keys
	for _, id := range []string{"dg1.a", "dg1.b"} {
		if user, err := open().CorrelationUser(t.Context(), id); err != nil || user != "ann" {
			t.Errorf("%s is of %q (error %v), want ann", id, user, err)
		}
	}
	_, err = d.CorrelationUser(t.Context(), "DG1.A")
	wantError(t, err, customerdb.ErrNoUser)
}
