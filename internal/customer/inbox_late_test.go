package customer_test

import (
	"testing"
	"time"
)

const day = 24 * 60 * 60 // seconds

func TestLateEventsCount(t *testing.T) {
	for _, days := range []int{3, 5, 60, 3000} {
		e := newEnrolling(t, key("a"))
		i := newInbox(t, e)
		i.deliver(t, eventOf("customer_suspended", customerA, days*day))
		i.settle(t)
		e.wantStatus(t, customerA, "suspended")
	}
}

func TestLateEventLinksANewCustomer(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, e.CorrelationID(ann))
	i.deliver(t, eventOf("customer_created", url.ID(), 30*day))
	i.settle(t)
	wantCustomer(t, e.store, "ann", url.ID())
}

// Its id was deleted from the queue, but the status keeps its time.
func TestResentEventUndoesNothing(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	suspended := eventOf("customer_suspended", customerA, 20*day)
	i.deliver(t, suspended, eventOf("customer_verified", customerA, 10*day))
	i.settle(t)
	if n, err := e.store.ForgetEvents(t.Context(), time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Fatalf("forgot %d, error %v", n, err)
	}
	i.deliver(t, suspended)
	i.settle(t)
	e.wantStatus(t, customerA, "verified")
	i.counted(t, "dropgate_webhooks_total", "customer_suspended", "queued", 2)
}

// The inbox sees every unlisted topic as "other".
func TestUnlistedTopicReadsTheStatus(t *testing.T) {
	for _, enrollment := range []bool{true, false} {
		e := newEnrolling(t, key("a"))
		i := newInbox(t, e)
		if !enrollment {
			i.config.Enrollment = nil
			i.reopen()
		}
		url := e.created(t, "")
		for _, status := range []string{"verified", "suspended", "retry"} {
			e.dwolla.SetStatus(url.ID(), status)
			i.deliver(t, eventOf("other", url.ID(), 1))
			i.settle(t)
			e.wantStatus(t, url.ID(), status)
		}
		i.deliver(t, eventOf("customer_created", url.ID(), 0))
		i.settle(t)
		e.wantStatus(t, url.ID(), "retry")
	}
}

func TestSuspensionNeedsNoCallToDwolla(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = &stubbornDwolla{failures: 1 << 30}
	i.reopen()
	i.deliver(t, eventOf("customer_suspended", customerA, 1))
	i.settle(t)
	e.wantStatus(t, customerA, "suspended")
}

func TestFutureEventDoesNotBlockLaterOnes(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	url := e.created(t, "")
	e.dwolla.SetStatus(url.ID(), "verified")
	i.deliver(t, eventOf("customer_reverification_needed", url.ID(), -3000*day))
	i.settle(t)
	e.wantStatus(t, url.ID(), "verified") // as Dwolla says
	i.deliver(t, eventOf("customer_suspended", url.ID(), -3000*day))
	i.settle(t)
	e.wantStatus(t, url.ID(), "suspended")
	i.deliver(t, eventOf("customer_activated", url.ID(), -1))
	i.settle(t)
	e.wantStatus(t, url.ID(), "verified")
}

func TestReadStatusHasTheTimeOfItsEvent(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	url := e.created(t, "")
	e.dwolla.SetStatus(url.ID(), "verified")
	i.deliver(t, eventOf("other", url.ID(), 10), eventOf("customer_suspended", url.ID(), 20))
	i.settle(t)
	e.wantStatus(t, url.ID(), "verified") // the suspension is older
	i.deliver(t, eventOf("customer_suspended", url.ID(), 5))
	i.settle(t)
	e.wantStatus(t, url.ID(), "suspended") // and this one is later
}
