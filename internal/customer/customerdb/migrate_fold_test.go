package customerdb_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

// byEmail opens the database like a service with AUTH_USER_CLAIM=email.
func byEmail(open func() *customerdb.Database) *customerdb.Database {
	d := open()
	d.SetUserIDs(clienttoken.UserIDs{Emails: true})
	return d
}

// allUsers returns the users of all links, sorted by byte.
func allUsers(t *testing.T, d *customerdb.Database) []string {
	t.Helper()
	links, err := d.List(t.Context(), "", 10000)
	if err != nil {
		t.Fatal(err)
	}
	users := make([]string, 0, len(links))
	for _, l := range links {
		users = append(users, l.UserID)
	}
	slices.Sort(users)
	return users
}

func earlierUserIDsAreFolded(t *testing.T, open func() *customerdb.Database) {
	earlier := open()
	var rows []customerdb.LinkRow
	for n := range 2500 { // more than two pages
		rows = append(rows, customerdb.LinkRow{UserID: fmt.Sprintf("User%d@Example.com", n), CustomerID: customerNumber(n)})
	}
	batch := earlier.Import()
	defer batch.Close()
	for part := range slices.Chunk(rows, 1000) {
		if _, err := batch.Add(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	for n, user := range []string{"ÜNAL@example.com", "\u017fue@example.com", "zoë@example.com", "sub|ANN"} {
		link(t, earlier, user, customerNumber(3000+n))
	}
	link(t, earlier, "Una@Example.com", customerB)
	unlink(t, earlier, "Una@Example.com")
	before, err := earlier.Find(t.Context(), "User7@Example.com")
	wantError(t, err, nil)

	d := byEmail(open)
	for range 2 { // the second round has nothing to do
		wantError(t, d.Migrate(t.Context()), nil)
	}
	users := allUsers(t, d)
	if len(users) != 2504 || strings.ContainsAny(strings.Join(users, ""), "UEANÜ") {
		t.Errorf("%d users, among them %q", len(users), users[len(users)-5:])
	}
	for user, want := range map[string]string{
		"user7@example.com": customerNumber(7), "USER2499@example.com": customerNumber(2499), "ünal@example.com": customerNumber(3000),
		"\u017fue@example.com": customerNumber(3001), "sue@example.com": "", "ZOË@example.com": customerNumber(3002),
	} {
		wantCustomer(t, d, user, want)
	}
	after, err := d.Find(t.Context(), "user7@example.com")
	wantError(t, err, nil)
	if !after.LinkedAt.Equal(before.LinkedAt) {
		t.Errorf("linked %v, and was %v", after.LinkedAt, before.LinkedAt)
	}
	// An operator's unlink holds in both forms.
	if _, err := d.BeginEnrollment(t.Context(), "una@example.com", customerB); !errors.Is(err, customerdb.ErrUnlinked) {
		t.Errorf("error %v, want ErrUnlinked", err)
	}
	wantError(t, d.Enroll(t.Context(), customerdb.EnrollmentAttempt{UserID: "una@example.com", CustomerID: customerA}), customerdb.ErrUnlinked)
}

func collidingUserIDsFailClosed(t *testing.T, open func() *customerdb.Database) {
	for _, pair := range [][2]string{{"ann@x.example", "Ann@x.example"}, {"BEN@x.example", "Ben@x.example"}, {"Çem@x.example", "ÇEM@x.example"}} {
		earlier := open()
		link(t, earlier, pair[0], customerA)
		link(t, earlier, pair[1], customerB)
		link(t, earlier, "Carl@x.example", customerNumber(1))
		d := byEmail(open)
		if _, err := d.Customer(t.Context(), "carl@x.example"); !errors.Is(err, customerdb.ErrNotMigrated) {
			t.Fatalf("before: error %v", err)
		}
		err := d.Migrate(t.Context())
		if !errors.Is(err, customerdb.ErrLetterCase) || !errors.Is(err, customerdb.ErrSchema) || !strings.Contains(err.Error(), "1 rows") {
			t.Fatalf("error %v", err)
		}
		wantClosed(t, d, pair[0])
		wantClosed(t, d, "carl@x.example")
		if got := allUsers(t, earlier); len(got) != 3 || !slices.Contains(got, "Carl@x.example") {
			t.Errorf("the rows are %q", got)
		}
		unlink(t, earlier, pair[1]) // as the error recommends
		wantError(t, d.Migrate(t.Context()), nil)
		wantError(t, d.Ping(t.Context()), nil)
		wantCustomer(t, d, strings.ToLower(pair[0]), customerA)
		unlink(t, d, pair[0])
		unlink(t, d, "carl@x.example")
	}
}

// wantClosed checks that the database answers nothing about a user, not even
// ErrNoCustomer.
func wantClosed(t *testing.T, d *customerdb.Database, user string) {
	t.Helper()
	_, reading := d.Customer(t.Context(), user)
	_, finding := d.Find(t.Context(), user)
	_, beginning := d.BeginEnrollment(t.Context(), user, customerB)
	_, owning := d.LinkedUser(t.Context(), customerA)
	batch := d.Import()
	defer batch.Close()
	_, importing := batch.Add(t.Context(), []customerdb.LinkRow{{UserID: user, CustomerID: customerNumber(9)}})
	for n, err := range []error{
		reading, finding, beginning, owning, importing, d.Ping(t.Context()), d.Link(t.Context(), user, customerB), d.Unlink(t.Context(), user),
		d.Enroll(t.Context(), customerdb.EnrollmentAttempt{UserID: user, CustomerID: customerB}),
	} {
		if !errors.Is(err, customerdb.ErrLetterCase) {
			t.Errorf("%d: error %v, want ErrLetterCase", n, err)
		}
	}
}

// During a roll-out, replicas of an earlier version keep writing.
func laterUserIDsAreFolded(t *testing.T, open func() *customerdb.Database) {
	earlier, d := open(), byEmail(open)
	wantError(t, d.Migrate(t.Context()), nil)
	link(t, earlier, "Ann@x.example", customerA)
	wantError(t, d.Migrate(t.Context()), nil)
	wantCustomer(t, d, "ann@x.example", customerA)
	link(t, earlier, "ANN@x.example", customerB)
	if err := d.Migrate(t.Context()); !errors.Is(err, customerdb.ErrLetterCase) {
		t.Fatalf("error %v", err)
	}
	wantClosed(t, d, "ann@x.example")
}

func replicasFoldConcurrently(t *testing.T, open func() *customerdb.Database) {
	earlier := open()
	for n := range 50 {
		link(t, earlier, fmt.Sprintf("User%d", n), customerNumber(n))
	}
	for _, err := range race(func() *customerdb.Database { return byEmail(open) }, func(d *customerdb.Database, _ int) error { return d.Migrate(t.Context()) }) {
		if err != nil {
			t.Error(err)
		}
	}
	if got := allUsers(t, earlier); len(got) != 50 || strings.Contains(strings.Join(got, ""), "U") {
		t.Errorf("the users are %q", got)
	}
}
