package customerdb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

// testDatabase checks every promise of a Database, with any engine.
func testDatabase(t *testing.T, database newDatabase) {
	testPromises(t, database, []promise{
		{"NoCustomerAtFirst", noCustomerAtFirst},
		{"OneCustomerPerUser", oneCustomerPerUser},
		{"OneUserPerCustomer", oneUserPerCustomer},
		{"LinkIsIdempotent", linkIsIdempotent},
		{"UnlinkIsIdempotent", unlinkIsIdempotent},
		{"UnlinkFreesBoth", unlinkFreesBoth},
		{"LinksSurviveReopening", linksSurviveReopening},
		{"UserIDsAreComparedByteByByte", userIDsAreComparedByteByByte},
		{"CustomerIDsIgnoreLetterCase", customerIDsIgnoreLetterCase},
		{"InvalidCustomerIDsAreRefused", invalidCustomerIDsAreRefused},
		{"CanceledContextChangesNothing", canceledContextChangesNothing},
		{"ConcurrentLinksOfOneCustomerHaveOneWinner", concurrentLinksOfOneCustomerHaveOneWinner},
		{"ConcurrentLinksOfOneUserHaveOneWinner", concurrentLinksOfOneUserHaveOneWinner},
		{"ConcurrentEqualLinksSucceed", concurrentEqualLinksSucceed},
		{"LinkedUserIsFound", linkedUserIsFound},
		{"LinksHaveATime", linksHaveATime},
		{"PagesHoldEveryLinkOnce", pagesHoldEveryLinkOnce},
		{"FirstUserOfACorrelationIDStays", firstUserOfACorrelationIDStays},
		{"EventsAreStoredUnchanged", eventsAreStoredUnchanged},
		{"EventsAreAddedOnce", eventsAreAddedOnce},
		{"LeasesKeepOthersAway", leasesKeepOthersAway},
		{"LongestDueEventComesFirst", longestDueEventComesFirst},
		{"PostponedEventsWait", postponedEventsWait},
		{"EventsAreSettledOnce", eventsAreSettledOnce},
		{"ResultsAreAtomic", resultsAreAtomic},
		{"OldSettledEventsAreDeleted", oldSettledEventsAreDeleted},
		{"EachEventGoesToOneWorker", eachEventGoesToOneWorker},
		{"OneOfManySettlersWins", oneOfManySettlersWins},
		{"SettlingRacesLinkAndUnlink", settlingRacesLinkAndUnlink},
		{"ConcurrentAddsHaveOneWinner", concurrentAddsHaveOneWinner},
		{"DryRunBlocksNoWriter", dryRunBlocksNoWriter},
		{"ConcurrentImportsAgree", concurrentImportsAgree},
		{"InvalidRowsAreRefused", invalidRowsAreRefused},
		{"EachChangeHasOneEntry", eachChangeHasOneEntry},
		{"EntriesOutliveTheirCaller", entriesOutliveTheirCaller},
		{"CauseOutlivesItsProcess", causeOutlivesItsProcess},
		{"ReplicasShareEntries", replicasShareEntries},
		{"UnlinkStopsEarlierAttempts", unlinkStopsEarlierAttempts},
		{"UnlinkStopsEarlierWebhooks", unlinkStopsEarlierWebhooks},
		{"AttemptsRaceUnlinks", attemptsRaceUnlinks},
		{"EarlierUserIDsAreFolded", earlierUserIDsAreFolded},
		{"CollidingUserIDsFailClosed", collidingUserIDsFailClosed},
		{"LaterUserIDsAreFolded", laterUserIDsAreFolded},
		{"ReplicasFoldConcurrently", replicasFoldConcurrently},
	})
}

// promise is a test of one property of a Database.
type promise struct {
	name string
	test func(t *testing.T, open func() *customerdb.Database)
}

func testPromises(t *testing.T, database newDatabase, promises []promise) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.test(t, database(t)) })
	}
}

func noCustomerAtFirst(t *testing.T, open func() *customerdb.Database) {
	for _, userID := range []string{"ann", "", "%", "' OR 1=1 --"} {
		_, err := open().Customer(t.Context(), userID)
		wantError(t, err, clienttoken.ErrNoCustomer)
	}
}

func oneCustomerPerUser(t *testing.T, open func() *customerdb.Database) {
	s := open()
	link(t, s, "ann", customerA)
	wantError(t, s.Link(t.Context(), "ann", customerB), customerdb.ErrUserLinked)
	wantCustomer(t, s, "ann", customerA)
	link(t, s, "bob", customerB) // was not taken by the attempt
	// Both are taken. The user's own link is reported first.
	wantError(t, s.Link(t.Context(), "ann", customerB), customerdb.ErrUserLinked)
}

func oneUserPerCustomer(t *testing.T, open func() *customerdb.Database) {
	s := open()
	link(t, s, "ann", customerA)
	wantError(t, s.Link(t.Context(), "bob", customerA), customerdb.ErrCustomerLinked)
	wantCustomer(t, s, "ann", customerA)
	wantCustomer(t, s, "bob", "")
}

func linkIsIdempotent(t *testing.T, open func() *customerdb.Database) {
	s := open()
	for range 3 {
		link(t, s, "ann", customerA)
		wantCustomer(t, s, "ann", customerA)
	}
}

func unlinkIsIdempotent(t *testing.T, open func() *customerdb.Database) {
	s := open()
	unlink(t, s, "ann")
	link(t, s, "ann", customerA)
	link(t, s, "bob", customerB)
	unlink(t, s, "ann")
	unlink(t, s, "ann")
	wantCustomer(t, s, "bob", customerB)
}

func unlinkFreesBoth(t *testing.T, open func() *customerdb.Database) {
	s := open()
	link(t, s, "ann", customerA)
	unlink(t, s, "ann")
	wantCustomer(t, s, "ann", "")
	link(t, s, "bob", customerA)
	link(t, s, "ann", customerB)
	wantCustomer(t, s, "bob", customerA)
	wantCustomer(t, s, "ann", customerB)
}

func linksSurviveReopening(t *testing.T, open func() *customerdb.Database) {
	first := open()
	link(t, first, "ann", customerA)
	link(t, first, "bob", customerB)
	unlink(t, first, "bob")
	for range 2 {
		s := open()
		wantCustomer(t, s, "ann", customerA)
		wantCustomer(t, s, "bob", "")
		wantError(t, s.Link(t.Context(), "bob", customerA), customerdb.ErrCustomerLinked)
	}
}

func userIDsAreComparedByteByByte(t *testing.T, open func() *customerdb.Database) {
	userIDs := []string{
		"ann", "Ann", "ANN", "ann ", " ann", "ann.", "a%n", "a_n", "1", "01", "1.0", "1e0",
		"ß", "ss", "ſ", "é", "e\u0301", "İ", "i", "ı", "K", "\u212a",
		"auth0|5f7c8ec7c33c6c004bbafe82", `back\slash`, `quo"te`, "quo'te", "$1", "🦆",
		strings.Repeat("x", 255), strings.Repeat("x", 254) + "X", strings.Repeat("🦆", 255),
	}
	s := open()
	for i, userID := range userIDs {
		wantCustomer(t, s, userID, "")
		link(t, s, userID, customerNumber(i))
	}
	for i, userID := range userIDs {
		wantCustomer(t, s, userID, customerNumber(i))
	}
}

func customerIDsIgnoreLetterCase(t *testing.T, open func() *customerdb.Database) {
	s := open()
	link(t, s, "ann", strings.ToUpper(customerA))
	wantCustomer(t, s, "ann", customerA)
	link(t, s, "ann", customerA)
	wantError(t, s.Link(t.Context(), "bob", customerA), customerdb.ErrCustomerLinked)
	wantError(t, s.Link(t.Context(), "bob", strings.ToUpper(customerA)), customerdb.ErrCustomerLinked)
}

func invalidCustomerIDsAreRefused(t *testing.T, open func() *customerdb.Database) {
	s := open()
	for _, id := range []string{"", "x", customerA + " ", "https://api-sandbox.dwolla.com/customers/" + customerA} {
		if err := s.Link(t.Context(), "ann", id); err == nil {
			t.Errorf("%q was linked", id)
		}
	}
	wantCustomer(t, s, "ann", "")
}

func canceledContextChangesNothing(t *testing.T, open func() *customerdb.Database) {
	s := open()
	link(t, s, "ann", customerA)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Customer(ctx, "ann")
	wantError(t, err, context.Canceled)
	wantError(t, s.Link(ctx, "bob", customerB), context.Canceled)
	wantError(t, s.Unlink(ctx, "ann"), context.Canceled)
	wantCustomer(t, s, "ann", customerA)
	wantCustomer(t, s, "bob", "")
	link(t, s, "bob", customerB)
}

const racers = 50

// onlyWinner returns the index without an error; all others must be lost.
func onlyWinner(t *testing.T, errs []error, lost error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("%d and %d both won", winner, i)
		case err == nil:
			winner = i
		default:
			wantError(t, err, lost)
		}
	}
	if winner < 0 {
		t.Fatal("no caller won")
	}
	return winner
}

func concurrentLinksOfOneCustomerHaveOneWinner(t *testing.T, open func() *customerdb.Database) {
	userNumber := func(n int) string { return fmt.Sprint("user ", n) }
	winner := onlyWinner(t, race(open, func(s *customerdb.Database, i int) error {
		return s.Link(t.Context(), userNumber(i), customerA)
	}), customerdb.ErrCustomerLinked)
	s := open()
	for i := range racers {
		want := ""
		if i == winner {
			want = customerA
		}
		wantCustomer(t, s, userNumber(i), want)
	}
}

func concurrentLinksOfOneUserHaveOneWinner(t *testing.T, open func() *customerdb.Database) {
	winner := onlyWinner(t, race(open, func(s *customerdb.Database, i int) error {
		return s.Link(t.Context(), "ann", customerNumber(i))
	}), customerdb.ErrUserLinked)
	s := open()
	wantCustomer(t, s, "ann", customerNumber(winner))
	for i := range racers {
		if i != winner {
			link(t, s, fmt.Sprint("user ", i), customerNumber(i))
		}
	}
}

func concurrentEqualLinksSucceed(t *testing.T, open func() *customerdb.Database) {
	for i, err := range race(open, func(s *customerdb.Database, _ int) error {
		return s.Link(t.Context(), "ann", customerA)
	}) {
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
}
