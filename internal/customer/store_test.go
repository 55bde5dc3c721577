package customer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// newDatabase makes an empty database and returns a function that opens it.
// Each opening is one of its own, as another replica's would be, and is
// closed when the test ends.
type newDatabase func(tb testing.TB) func() *customer.Database

// testDatabase checks everything that is promised of a Database, whatever the engine.
func testDatabase(t *testing.T, database newDatabase) {
	for _, promise := range []struct {
		name string
		test func(t *testing.T, open func() *customer.Database)
	}{
		{"NobodyHasACustomerAtFirst", nobodyHasACustomerAtFirst},
		{"OneCustomerPerUser", oneCustomerPerUser},
		{"OneUserPerCustomer", oneUserPerCustomer},
		{"LinkIsIdempotent", linkIsIdempotent},
		{"UnlinkIsIdempotent", unlinkIsIdempotent},
		{"UnlinkFreesBoth", unlinkFreesBoth},
		{"LinksSurviveReopening", linksSurviveReopening},
		{"UserIDsAreComparedByteByByte", userIDsAreComparedByteByByte},
		{"CustomerIDsIgnoreLetterCase", customerIDsIgnoreLetterCase},
		{"WhatIsNoCustomerIDIsNotStored", whatIsNoCustomerIDIsNotStored},
		{"CanceledContextChangesNothing", canceledContextChangesNothing},
		{"ManyUsersOneCustomerHasOneWinner", manyUsersOneCustomerHasOneWinner},
		{"ManyCustomersOneUserHasOneWinner", manyCustomersOneUserHasOneWinner},
		{"TheSameLinkAtOnceSucceedsForAll", theSameLinkAtOnceSucceedsForAll},
		{"TheUserOfACustomerIsFound", theUserOfACustomerIsFound},
		{"ALinkKnowsItsTime", aLinkKnowsItsTime},
		{"PagesHoldEveryLinkOnce", pagesHoldEveryLinkOnce},
		{"TheFirstUserOfACorrelationIDStays", theFirstUserOfACorrelationIDStays},
		{"EventsComeBackAsTheyWere", eventsComeBackAsTheyWere},
		{"AnEventIsTakenOnce", anEventIsTakenOnce},
		{"ALeaseKeepsOthersOff", aLeaseKeepsOthersOff},
		{"TheLongestDueComesFirst", theLongestDueComesFirst},
		{"ARetryWaits", aRetryWaits},
		{"AnEventIsSettledOnce", anEventIsSettledOnce},
		{"AnEffectHappensAsAWhole", anEffectHappensAsAWhole},
		{"StatusesConvergeInAnyOrder", statusesConvergeInAnyOrder},
		{"SettledEventsAreForgotten", settledEventsAreForgotten},
		{"NoTwoWorkersGetOneEvent", noTwoWorkersGetOneEvent},
		{"OneOfManySettlersWins", oneOfManySettlersWins},
		{"SettlingRacesLinkAndUnlink", settlingRacesLinkAndUnlink},
		{"AddingAtOnceHasOneWinner", addingAtOnceHasOneWinner},
		{"BadLinesAreToldAndGoodOnesGoOn", badLinesAreToldAndGoodOnesGoOn},
		{"TheFirstOfConflictingLinesWins", theFirstOfConflictingLinesWins},
		{"ADryRunChangesNothingAndFindsTheSame", aDryRunChangesNothingAndFindsTheSame},
		{"ADryRunHoldsUpNobody", aDryRunHoldsUpNobody},
		{"ConflictsAreFoundAcrossBatches", conflictsAreFoundAcrossBatches},
		{"ACutOffImportIsResumed", aCutOffImportIsResumed},
		{"ProgressIsTold", progressIsTold},
		{"ImportsAtOnceAgree", importsAtOnceAgree},
		{"WhatIsNoLinkIsNotImported", whatIsNoLinkIsNotImported},
		{"WhatIsExportedCanBeImported", whatIsExportedCanBeImported},
		{"EachChangeHasOneEntry", eachChangeHasOneEntry},
		{"AnEntryOutlivesItsCaller", anEntryOutlivesItsCaller},
		{"AnEntryOutlivesItsProcess", anEntryOutlivesItsProcess},
		{"ABrokenSinkLosesNothing", aBrokenSinkLosesNothing},
		{"ReplicasShareTheEntries", replicasShareTheEntries},
		{"AnUnlinkEndsEarlierAttempts", anUnlinkEndsEarlierAttempts},
		{"AnUnlinkEndsEarlierWebhooks", anUnlinkEndsEarlierWebhooks},
		{"AttemptsRaceUnlinks", attemptsRaceUnlinks},
		{"CapitalsOfEarlierVersionsAreFolded", capitalsOfEarlierVersionsAreFolded},
		{"CapitalsThatCollideFailClosed", capitalsThatCollideFailClosed},
		{"CapitalsThatComeLaterAreFolded", capitalsThatComeLaterAreFolded},
		{"ReplicasFoldAtOnce", replicasFoldAtOnce},
		{"FollowsTheModel", followsTheModel},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(t, database(t)) })
	}
}

// customerNumber is the id of some Customer, another one for each n.
func customerNumber(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-00000000abcd", n) }

// background serves helpers that rapid's T calls, which gives no context to
// those that serve a testing.T, too.
func background() context.Context { return context.Background() }

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func link(t fataler, s *customer.Database, userID, customerID string) {
	t.Helper()
	if err := s.Link(background(), userID, customerID); err != nil {
		t.Fatalf("linking %q to %s: %v", userID, customerID, err)
	}
}

func unlink(t fataler, s *customer.Database, userID string) {
	t.Helper()
	if err := s.Unlink(background(), userID); err != nil {
		t.Fatalf("unlinking %q: %v", userID, err)
	}
}

// wantCustomer checks whose Customer is whose; "" stands for none.
func wantCustomer(t fataler, s *customer.Database, userID, want string) {
	t.Helper()
	got, err := s.Customer(background(), userID)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		err = nil
	}
	if err != nil || got != want {
		t.Fatalf("the Customer of %q is %q (error %v), want %q", userID, got, err, want)
	}
}

func wantError(t fataler, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func nobodyHasACustomerAtFirst(t *testing.T, open func() *customer.Database) {
	for _, userID := range []string{"ann", "", "%", "' OR 1=1 --"} {
		_, err := open().Customer(t.Context(), userID)
		wantError(t, err, clienttoken.ErrNoCustomer)
	}
}

func oneCustomerPerUser(t *testing.T, open func() *customer.Database) {
	s := open()
	link(t, s, "ann", customerA)
	wantError(t, s.Link(t.Context(), "ann", customerB), customer.ErrUserLinked)
	wantCustomer(t, s, "ann", customerA)
	link(t, s, "bob", customerB) // was not taken by the attempt
	// Both are taken now: the user's own link is named first.
	wantError(t, s.Link(t.Context(), "ann", customerB), customer.ErrUserLinked)
}

func oneUserPerCustomer(t *testing.T, open func() *customer.Database) {
	s := open()
	link(t, s, "ann", customerA)
	wantError(t, s.Link(t.Context(), "bob", customerA), customer.ErrCustomerLinked)
	wantCustomer(t, s, "ann", customerA)
	wantCustomer(t, s, "bob", "")
}

func linkIsIdempotent(t *testing.T, open func() *customer.Database) {
	s := open()
	for range 3 {
		link(t, s, "ann", customerA)
		wantCustomer(t, s, "ann", customerA)
	}
}

func unlinkIsIdempotent(t *testing.T, open func() *customer.Database) {
	s := open()
	unlink(t, s, "ann")
	link(t, s, "ann", customerA)
	link(t, s, "bob", customerB)
	unlink(t, s, "ann")
	unlink(t, s, "ann")
	wantCustomer(t, s, "bob", customerB)
}

func unlinkFreesBoth(t *testing.T, open func() *customer.Database) {
	s := open()
	link(t, s, "ann", customerA)
	unlink(t, s, "ann")
	wantCustomer(t, s, "ann", "")
	link(t, s, "bob", customerA)
	link(t, s, "ann", customerB)
	wantCustomer(t, s, "bob", customerA)
	wantCustomer(t, s, "ann", customerB)
}

func linksSurviveReopening(t *testing.T, open func() *customer.Database) {
	first := open()
	link(t, first, "ann", customerA)
	link(t, first, "bob", customerB)
	unlink(t, first, "bob")
	for range 2 {
		s := open()
		wantCustomer(t, s, "ann", customerA)
		wantCustomer(t, s, "bob", "")
		wantError(t, s.Link(t.Context(), "bob", customerA), customer.ErrCustomerLinked)
	}
}

func userIDsAreComparedByteByByte(t *testing.T, open func() *customer.Database) {
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

func customerIDsIgnoreLetterCase(t *testing.T, open func() *customer.Database) {
	s := open()
	link(t, s, "ann", strings.ToUpper(customerA))
	wantCustomer(t, s, "ann", customerA)
	link(t, s, "ann", customerA)
	wantError(t, s.Link(t.Context(), "bob", customerA), customer.ErrCustomerLinked)
	wantError(t, s.Link(t.Context(), "bob", strings.ToUpper(customerA)), customer.ErrCustomerLinked)
}

func whatIsNoCustomerIDIsNotStored(t *testing.T, open func() *customer.Database) {
	s := open()
	for _, id := range []string{"", "x", customerA + " ", "https://api-sandbox.dwolla.com/customers/" + customerA} {
		if err := s.Link(t.Context(), "ann", id); err == nil {
			t.Errorf("%q was linked", id)
		}
	}
	wantCustomer(t, s, "ann", "")
}

func canceledContextChangesNothing(t *testing.T, open func() *customer.Database) {
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

// race runs try for 0 to racers-1 at once, half of them on each of two stores
// of one database, and returns their errors.
func race(open func() *customer.Database, try func(s *customer.Database, i int) error) []error {
	stores := []*customer.Database{open(), open()}
	errs := make([]error, racers)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range racers {
		done.Go(func() {
			<-start
			errs[i] = try(stores[i%2], i)
		})
	}
	close(start)
	done.Wait()
	return errs
}

// onlyWinner returns who got no error; all others must have got lost.
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
		t.Fatal("nobody won")
	}
	return winner
}

func manyUsersOneCustomerHasOneWinner(t *testing.T, open func() *customer.Database) {
	userNumber := func(n int) string { return fmt.Sprint("user ", n) }
	winner := onlyWinner(t, race(open, func(s *customer.Database, i int) error {
		return s.Link(t.Context(), userNumber(i), customerA)
	}), customer.ErrCustomerLinked)
	s := open()
	for i := range racers {
		want := ""
		if i == winner {
			want = customerA
		}
		wantCustomer(t, s, userNumber(i), want)
	}
}

func manyCustomersOneUserHasOneWinner(t *testing.T, open func() *customer.Database) {
	winner := onlyWinner(t, race(open, func(s *customer.Database, i int) error {
		return s.Link(t.Context(), "ann", customerNumber(i))
	}), customer.ErrUserLinked)
	s := open()
	wantCustomer(t, s, "ann", customerNumber(winner))
	for i := range racers {
		if i != winner {
			link(t, s, fmt.Sprint("user ", i), customerNumber(i))
		}
	}
}

func theSameLinkAtOnceSucceedsForAll(t *testing.T, open func() *customer.Database) {
	for i, err := range race(open, func(s *customer.Database, _ int) error {
		return s.Link(t.Context(), "ann", customerA)
	}) {
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	}
}
