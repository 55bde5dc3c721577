package customer_test

import (
	"context"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/dwolla/emulator"
)

func TestEnrollmentKeysNeedThirtyTwoBytes(t *testing.T) {
	long := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff\xef", 40)))
	for _, good := range []string{
		key("a"), key("a") + "," + key("b"), " " + key("a") + " , " + long, strings.TrimRight(key("a"), "="),
		base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\xff\xef", 40))),
	} {
		if _, err := customer.ParseEnrollmentKeys(clienttoken.NewSecret(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	var nine []string
	for letter := range strings.SplitSeq("abcdefghi", "") {
		nine = append(nine, key(letter))
	}
	for bad, want := range map[string]string{
		"":                            "key 1 has 0 bytes, and needs 32",
		"hunter2!":                    "key 1 is not base64",
		key("a") + ",":                "key 2 has 0 bytes, and needs 32",
		key("a") + ",aHVudGVyMg==":    "key 2 has 7 bytes, and needs 32",
		key("a") + "," + key("a"):     "key 2 is given twice",
		strings.Join(nine, ","):       "there are more than 8 keys",
		key("a") + " " + key("b"):     "key 1 is not base64",
		strings.Repeat("a", 42) + "b": "key 1 is not base64",
	} {
		if _, err := customer.ParseEnrollmentKeys(clienttoken.NewSecret(bad)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", bad, err, want)
		}
	}
}

func TestCorrelationIDIsOpaqueAndStable(t *testing.T) {
	e := newEnrolling(t, key("a"))
	got := e.CorrelationID(ann)
	if !regexp.MustCompile(`^dg1\.[a-z2-7]{52}$`).MatchString(got) || strings.Contains(got, "ann") {
		t.Errorf("correlationId %q", got)
	}
	// HMAC-SHA-256 with 32 times "a" over "dropgate enrollment 1", a zero byte and
	// "ann", computed by another program. Dwolla stores it, so it must never change.
	const want = "dg1.z2dtnl46recmd4n35kke35p3lha7wbah5f5v3sfvedetcfpblj7a"
	if got != want {
		t.Errorf("correlationId %q, want %q", got, want)
	}
	if other := e.CorrelationID(bob); other == got {
		t.Error("two users have the same")
	}
	e.with(t, key("a"), key("b"))
	if e.CorrelationID(ann) != got {
		t.Error("a second key changes it")
	}
	e.with(t, key("b"), key("a"))
	if e.CorrelationID(ann) == got {
		t.Error("the first key does not sign")
	}
}

func TestEnrollLinksAProvenCustomer(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, e.CorrelationID(ann))
	for range 3 { // idempotent
		got, err := e.Enroll(t.Context(), ann, url)
		if err != nil || got.URL != url || got.Status != "document" {
			t.Fatalf("got %+v, error %v", got, err)
		}
		wantCustomer(t, e.store, "ann", url.ID())
		if found, err := e.links.Customer(t.Context(), ann); err != nil || found != url {
			t.Errorf("the directory says %v, error %v", found, err)
		}
	}
}

func TestEnrollRefusesUnprovenCustomers(t *testing.T) {
	e := newEnrolling(t, key("a"), key("b"))
	anns := e.CorrelationID(ann)
	e.with(t, key("c"))
	ofAnotherKey := e.CorrelationID(ann)
	e.with(t, key("a"), key("b"))
	nobodys, err := clienttoken.ParseCustomerID(e.api, customerA)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		url  clienttoken.CustomerURL
		user string
		why  string
	}{
		"no correlationId":            {e.created(t, ""), "ann1", "has no correlationId"},
		"another user's":              {e.created(t, anns), "bob", "another correlationId"},
		"of a key that is gone":       {e.created(t, ofAnotherKey), "ann2", "another correlationId"},
		"the application's own":       {e.created(t, "order-4711"), "ann3", "another correlationId"},
		"cut off":                     {e.created(t, anns[:len(anns)-1]), "ann4", "another correlationId"},
		"with more":                   {e.created(t, anns+"a"), "ann5", "another correlationId"},
		"does not exist":              {nobodys, "ann6", "does not exist"},
		"a user whose id begins so":   {e.created(t, e.CorrelationID(clienttoken.User{ID: "anna"})), "ann7", "another correlationId"},
		"a user with a longer id too": {e.created(t, e.CorrelationID(clienttoken.User{ID: "ann7\x00"})), "ann7", "another correlationId"},
	} {
		if c.user == "ann2" {
			c.user = "ann"
		}
		refusal := e.refusal(t, clienttoken.User{ID: c.user}, c.url, clienttoken.CustomerMismatch)
		if !strings.Contains(refusal.Reason, c.why) || !strings.Contains(refusal.Reason, c.url.ID()) || strings.Contains(refusal.Reason, "dg1.") {
			t.Errorf("%s: the log says %q", name, refusal.Reason)
		}
		wantCustomer(t, e.store, c.user, "")
	}
}

// Dwolla hides the Customers of other applications, with either status.
func TestEnrollRefusesAForeignCustomer(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, e.CorrelationID(ann))
	for _, status := range []int{403, 404} {
		e.dwolla.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: status, Times: 1})
		e.refuses(t, ann, url)
	}
}

func TestEnrollingALinkedCustomerCostsNoCall(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, e.CorrelationID(ann))
	link(t, e.store, "bob", url.ID()) // by an operator
	for range 20 {
		if refusal := e.refusal(t, ann, url, clienttoken.CustomerMismatch); !strings.Contains(refusal.Reason, "another user") {
			t.Errorf("the log says %q", refusal.Reason)
		}
	}
	if e.calls() != 0 {
		t.Errorf("Dwolla was asked %d times", e.calls())
	}
}

func TestEnrollRefusesAUserLinkedMeanwhile(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, e.CorrelationID(ann))
	link(t, e.store, "ann", customerB)
	e.refuses(t, ann, url)
	wantCustomer(t, e.store, "ann", customerB)
}

func TestOlderEnrollmentKeysStillProve(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, e.CorrelationID(ann))
	e.with(t, key("b"), key("a"))
	if _, err := e.Enroll(t.Context(), ann, url); err != nil {
		t.Error(err)
	}
	other := e.created(t, e.CorrelationID(bob))
	e.with(t, key("c"), key("a"))
	e.refuses(t, bob, other)
}

func TestEnrollReportsOutages(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, e.CorrelationID(ann))
	outage := func(what string, err error) {
		t.Helper()
		if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter <= 0 {
			t.Errorf("%s: %v, want an outage", what, err)
		}
	}
	e.dwolla.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: 503, Times: 2}) // the client retries once
	_, err := e.Enroll(t.Context(), ann, url)
	outage("Dwolla is down", err)
	wantCustomer(t, e.store, "ann", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.Enroll(ctx, ann, url)
	wantError(t, err, context.Canceled)
	wantError(t, e.Expect(ctx, ann), context.Canceled)
	if _, err := e.Enroll(t.Context(), ann, url); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := e.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = e.Enroll(t.Context(), bob, url)
	outage("the database is closed", err)
	outage("the database is closed", e.Expect(t.Context(), bob))
}

func TestExpectStoresTheCorrelationID(t *testing.T) {
	e := newEnrolling(t, key("a"))
	for range 2 {
		wantError(t, e.Expect(t.Context(), ann), nil)
	}
	wantError(t, e.Expect(t.Context(), bob), nil)
	for _, user := range []clienttoken.User{ann, bob} {
		if got, err := e.store.CorrelationUser(t.Context(), e.CorrelationID(user)); got != user.ID || err != nil {
			t.Errorf("the correlationId of %s is %q's, error %v", user.ID, got, err)
		}
	}
}

func TestCorrelationIDsSurviveEmailFolding(t *testing.T) {
	e := newEnrolling(t, key("a"))
	capital, small := clienttoken.User{ID: "Ann@x.example"}, clienttoken.User{ID: "ann@x.example"}
	wantError(t, e.Expect(t.Context(), capital), nil) // by an earlier version
	url := e.created(t, e.CorrelationID(capital))
	e.store.SetUserIDs(clienttoken.UserIDs{Emails: true})
	wantError(t, e.store.Migrate(t.Context()), nil)
	e.refuses(t, clienttoken.User{ID: "bob@x.example"}, url)
	e.refuses(t, small, e.created(t, e.CorrelationID(clienttoken.User{ID: "ANN@x.example"}))) // was handed out to nobody
	if _, err := e.Enroll(t.Context(), small, url); err != nil {
		t.Fatal(err)
	}
	wantCustomer(t, e.store, small.ID, url.ID())
}
