package customer_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

func TestUnsignedWebhookIsRefused(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	err := i.Receive(t.Context(), "bad", []byte("anything"))
	if refusal, ok := errors.AsType[*clienttoken.Refusal](err); !ok || refusal.Code != clienttoken.Unauthenticated {
		t.Errorf("%v, want a refusal", err)
	}
	if queue, err := e.store.Backlog(t.Context()); queue.Depth != 0 || err != nil {
		t.Errorf("%d webhooks wait, error %v", queue.Depth, err)
	}
	i.counted(t, "dropgate_webhooks_total", "other", "refused", 1)
}

func TestNewCustomerIsLinkedByItsCorrelationID(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, e.CorrelationID(ann))
	news := eventOf("customer_created", url.ID(), 1)
	i.deliver(t, news, news, news)
	i.settle(t)
	wantCustomer(t, e.store, "ann", url.ID())
	e.wantStatus(t, url.ID(), "document")
	if want := []string{news.ID + " ann"}; !slices.Equal(i.linked, want) {
		t.Errorf("reported the links %v, want %v", i.linked, want)
	}
	if !slices.Contains(i.changed, "ann "+url.ID()) {
		t.Errorf("what changed: %v", i.changed)
	}
	i.counted(t, "dropgate_webhooks_total", "customer_created", "queued", 1)
	i.counted(t, "dropgate_webhooks_total", "customer_created", "duplicate", 2)
	i.counted(t, "dropgate_webhooks_processed_total", "customer_created", "linked", 1)
	if strings.Contains(i.logs.String(), "dg1.") {
		t.Error("a correlationId is in the log")
	}

	// Send it again, after it was settled and an operator has unlinked the user.
	unlink(t, e.store, "ann")
	i.deliver(t, news)
	i.settle(t)
	wantCustomer(t, e.store, "ann", "")
}

func TestUnmatchedNewCustomerIsNotLinked(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	gone := key("z")
	e.with(t, gone)
	wantError(t, e.Expect(t.Context(), ann), nil) // with a key removed afterwards
	ofAKeyThatIsGone := e.CorrelationID(ann)
	e.with(t, key("a"))
	i.config.Enrollment = e.Enrollment
	i.reopen()
	for _, correlationID := range []string{"", "order-4711", "dg1.unknown", e.CorrelationID(bob), ofAKeyThatIsGone} {
		i.waiting(t, eventOf("customer_created", e.created(t, correlationID).ID(), 1), 25*time.Hour) // until then it may be a key that is not here yet
	}
	i.waiting(t, eventOf("customer_created", customerA, 1), 61*time.Minute) // Dwolla does not know it
	i.settle(t)
	for _, user := range []string{"ann", "bob"} {
		wantCustomer(t, e.store, user, "")
	}
	if len(i.linked) != 0 {
		t.Errorf("reported the links %v", i.linked)
	}
	i.counted(t, "dropgate_webhooks_processed_total", "customer_created", "unmatched", 6)
}

func TestNewCustomerReplacesNoLink(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	for _, user := range []clienttoken.User{ann, bob} {
		wantError(t, e.Expect(t.Context(), user), nil)
	}
	anns, bobs := e.created(t, e.CorrelationID(ann)), e.created(t, e.CorrelationID(bob))
	link(t, e.store, "ann", customerB)   // who has another one by now
	link(t, e.store, "carol", bobs.ID()) // and bob's is another user's
	i.deliver(t, eventOf("customer_created", anns.ID(), 1), eventOf("customer_created", bobs.ID(), 1))
	i.settle(t)
	wantCustomer(t, e.store, "ann", customerB)
	wantCustomer(t, e.store, "bob", "")
	wantCustomer(t, e.store, "carol", bobs.ID())
	i.counted(t, "dropgate_webhooks_processed_total", "customer_created", "conflict", 2)
	if len(i.linked) != 2 { // by an operator
		t.Errorf("reported the links %v", i.linked)
	}
}

// In any order of arrival, the latest event wins.
func TestStatusesAreOrderedByEventTime(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, "")
	history := []customerdb.WebhookEvent{
		eventOf("customer_created", url.ID(), 50),
		eventOf("customer_verification_document_needed", url.ID(), 40),
		eventOf("customer_verified", url.ID(), 30),
		eventOf("customer_suspended", url.ID(), 20),
		eventOf("customer_activated", url.ID(), 10),
	}
	e.dwolla.SetStatus(url.ID(), "verified")
	for name, order := range map[string][]int{
		"in order": {0, 1, 2, 3, 4}, "the other way round": {4, 3, 2, 1, 0}, "suspended last": {4, 1, 2, 0, 3}, "twice": {3, 4, 3, 2, 4, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e.store = newSQLite(t)()
			e.with(t, key("a"))
			i := newInbox(t, e)
			for _, n := range order {
				i.deliver(t, history[n])
				i.settle(t)
			}
			e.wantStatus(t, url.ID(), "verified")
			late := eventOf("customer_deactivated", url.ID(), 0)
			i.deliver(t, late)
			i.settle(t)
			e.wantStatus(t, url.ID(), "deactivated")
			if !slices.Contains(i.changed, " "+url.ID()) {
				t.Errorf("what changed: %v", i.changed)
			}
		})
	}
}

func TestEventsAboutNoCustomerAreIgnored(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.deliver(t, eventOf("other", "", 1), eventOf("customer_funding_source_added", "", 1))
	i.counted(t, "dropgate_webhooks_total", "customer_funding_source_added", "ignored", 1)
	if queue, err := e.store.Backlog(t.Context()); queue.Depth != 0 || err != nil {
		t.Errorf("%d webhooks wait, error %v", queue.Depth, err)
	}
}

func TestUnstorableWebhookIsAnOutage(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, i.send(ctx, eventOf("customer_verified", customerA, 1)), context.Canceled)
	if err := e.store.Close(); err != nil {
		t.Fatal(err)
	}
	err := i.send(t.Context(), eventOf("customer_verified", customerA, 1))
	if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.Code != clienttoken.Unavailable {
		t.Errorf("%v, want an outage", err)
	}
	i.counted(t, "dropgate_webhooks_total", "customer_verified", "unavailable", 2)
}

func TestLastWebhookIsKnownAfterARestart(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	const name = "dropgate_webhook_last_received_timestamp_seconds"
	if got := i.gauge(t, name); got != 0 {
		t.Errorf("%v before the first webhook", got)
	}
	_ = i.Receive(t.Context(), "bad", []byte("anything"))
	if got := i.gauge(t, name); got != 0 {
		t.Errorf("%v after a webhook with a wrong signature", got)
	}
	began := time.Now()
	i.deliver(t, eventOf("customer_funding_source_added", "", 60))
	if got := i.gauge(t, name); got < float64(began.Unix()) {
		t.Errorf("%v after a webhook at %v", got, began)
	}
	i.waiting(t, eventOf("customer_verified", customerA, 0), 2*time.Hour)
	i.reopen()
	i.settle(t)
	i.measured(t)
	if got, want := i.gauge(t, name), float64(time.Now().Add(-2*time.Hour).Unix()); got < want-60 || got > want+60 {
		t.Errorf("%v after a restart, want %v", got, want)
	}
	if got := i.gauge(t, "dropgate_webhook_queue_measured_timestamp_seconds"); got < float64(began.Unix()) {
		t.Errorf("the queue was measured at %v", got)
	}
}

// gauge returns the value of a gauge without labels.
func (i *inbox) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// measured runs the inbox until it has measured its queue.
func (i *inbox) measured(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.Run(ctx)
	}()
	for deadline := time.Now().Add(30 * time.Second); i.gauge(t, "dropgate_webhook_queue_measured_timestamp_seconds") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the queue was not measured")
		}
		runtime.Gosched()
	}
	stop()
	<-done
}
