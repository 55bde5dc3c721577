package customer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
)

// running runs the inbox until good returns true, or fails the test.
func (i *inbox) running(t *testing.T, good func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.Run(ctx)
	}()
	for deadline := time.Now().Add(30 * time.Second); !good(); {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come true:\n%s", i.logs.String())
		}
	}
	stop()
	<-done
}

// heldDwolla never answers.
type heldDwolla struct{}

func (heldDwolla) GetCustomer(ctx context.Context, _ clienttoken.CustomerURL) (clienttoken.Customer, error) {
	<-ctx.Done()
	return clienttoken.Customer{}, ctx.Err()
}

// Events that need a call wait for Dwolla.
func TestSuspensionDoesNotWaitForSlowCalls(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = heldDwolla{}
	i.reopen()
	for n := range 40 {
		topic := []string{"customer_created", "customer_activated"}[n%2]
		i.deliver(t, eventOf(topic, fmt.Sprintf("%08x-0000-4000-8000-000000000000", n), 1))
	}
	i.deliver(t, eventOf("customer_suspended", customerA, 0))
	i.running(t, func() bool {
		status, err := e.store.Status(t.Context(), customerA)
		return err == nil && status == "suspended"
	})
}

// The page holds a correlationId of the key that was first at the time.
func TestWebhookLinksAcrossAKeyRotation(t *testing.T) {
	e := newEnrolling(t, key("a"))
	old := e.CorrelationID(ann)
	e.with(t, key("b"), key("a"))
	i := newInbox(t, e)
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, old)
	i.deliver(t, eventOf("customer_created", url.ID(), 1))
	i.settle(t)
	wantCustomer(t, e.store, "ann", url.ID())
}

// During a roll-out one replica lacks the new key.
func TestWebhookWaitsForAReplicaWithTheKey(t *testing.T) {
	t.Parallel()
	e := newEnrolling(t, key("b"), key("a"))
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, e.CorrelationID(ann))
	e.with(t, key("a"))
	i := newInbox(t, e)
	i.deliver(t, eventOf("customer_created", url.ID(), 1))
	i.running(t, func() bool { return strings.Contains(i.logs.String(), `"outcome":"retried"`) })
	wantCustomer(t, e.store, "ann", "")
	e.with(t, key("b"), key("a"))
	newInbox(t, e).settle(t)
	wantCustomer(t, e.store, "ann", url.ID())
}

func TestOnlyAnOperatorRelinksAnUnlinkedUser(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, e.CorrelationID(ann))
	if _, err := e.Enroll(t.Context(), ann, url); err != nil {
		t.Fatal(err)
	}
	wantError(t, e.links.Unlink(t.Context(), "ann"), nil)
	if refusal := e.refusal(t, ann, url, clienttoken.CustomerMismatch); !strings.Contains(refusal.Reason, "unlinked") {
		t.Errorf("the log says %q", refusal.Reason)
	}
	i.deliver(t, eventOf("customer_created", url.ID(), 60)) // which comes late
	i.settle(t)
	wantCustomer(t, e.store, "ann", "")
	wantError(t, e.links.Link(t.Context(), "ann", url), nil)
	wantCustomer(t, e.store, "ann", url.ID())
}

// asleepDwolla returns Customers without a status.
type asleepDwolla struct{ customer.DwollaCustomers }

func (a asleepDwolla) GetCustomer(ctx context.Context, url clienttoken.CustomerURL) (clienttoken.Customer, error) {
	read, err := a.DwollaCustomers.GetCustomer(ctx, url)
	read.Status = ""
	return read, err
}

func TestReactivatedCustomerIsNotSuspended(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = asleepDwolla{e.client}
	i.reopen()
	url := e.created(t, "")
	i.deliver(t, eventOf("customer_suspended", url.ID(), 10))
	i.settle(t)
	e.wantStatus(t, url.ID(), "suspended")
	i.deliver(t, eventOf("customer_activated", url.ID(), 5))
	i.settle(t)
	e.wantStatus(t, url.ID(), "unverified")
}

func TestConflictStillStoresTheStatus(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, e.CorrelationID(ann))
	link(t, e.store, "ann", customerB)
	i.deliver(t, eventOf("customer_created", url.ID(), 1))
	i.settle(t)
	e.wantStatus(t, url.ID(), "document")
}

// A Dwolla that says when to come back is not asked before.
func TestWebhookHonorsRetryAfter(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = throttled{}
	i.reopen()
	i.deliver(t, eventOf("customer_activated", customerA, 1))
	i.running(t, func() bool { return strings.Contains(i.logs.String(), `"outcome":"retried"`) })
	if _, err := e.store.ClaimEvent(t.Context(), time.Now().Add(4*time.Minute), time.Minute); !errors.Is(err, customerdb.ErrNoEvent) {
		t.Errorf("it is due within four minutes (%v)", err)
	}
	if _, err := e.store.ClaimEvent(t.Context(), time.Now().Add(6*time.Minute), time.Minute); err != nil {
		t.Errorf("it is not due after six minutes: %v", err)
	}
}

type throttled struct{}

func (throttled) GetCustomer(context.Context, clienttoken.CustomerURL) (clienttoken.Customer, error) {
	return clienttoken.Customer{}, &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: 5 * time.Minute}
}

type panickingDwolla struct{}

func (panickingDwolla) GetCustomer(context.Context, clienttoken.CustomerURL) (clienttoken.Customer, error) {
	panic("the client panics")
}

func TestWebhookPanicIsRetried(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = panickingDwolla{}
	i.reopen()
	i.deliver(t, eventOf("customer_activated", customerA, 1), eventOf("customer_suspended", customerB, 1))
	i.running(t, func() bool {
		status, err := e.store.Status(t.Context(), customerB)
		return err == nil && status == "suspended" && strings.Contains(i.logs.String(), "the client panics")
	})
}

func TestSettledEventsAreKeptForFourDays(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	for days, id := range map[time.Duration]string{3: "three days ago", 5: "five days ago"} {
		received := time.Now().Add(-days * 24 * time.Hour)
		known := customerdb.WebhookEvent{ID: id, Topic: "customer_verified", CustomerID: customerA, Created: received}
		if added, err := e.store.AddEvent(t.Context(), known, received); !added || err != nil {
			t.Fatalf("added %v, error %v", added, err)
		}
		wantError(t, e.store.Settle(t.Context(), id, customerdb.EventResult{}, received), nil)
	}
	known := func(id string) bool {
		again := customerdb.WebhookEvent{ID: id, Topic: "customer_verified", CustomerID: customerA, Created: time.Now()}
		added, err := e.store.AddEvent(t.Context(), again, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return !added
	}
	i.running(t, func() bool { return !known("five days ago") })
	if !known("three days ago") {
		t.Error("an event of three days ago is used again")
	}
}
