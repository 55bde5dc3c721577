package customer_test

import (
	"sync"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

func TestEnrollmentAttemptsAreLimitedPerUser(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, "")
	for range 10 {
		e.refuses(t, ann, url)
	}
	for range 3 {
		refusal := e.refusal(t, ann, url, clienttoken.TooManyRequests)
		if refusal.RetryAfter <= 5*time.Second || refusal.RetryAfter > 10*time.Second {
			t.Errorf("to come back after %v", refusal.RetryAfter)
		}
	}
	if e.calls() != 10 {
		t.Errorf("Dwolla was asked %d times", e.calls())
	}
	e.refuses(t, bob, url) // bob has his own allowance
}

// A page with several components names its new Customer in several requests at once.
func TestConcurrentEnrollmentAttemptsAreOne(t *testing.T) {
	e := newEnrolling(t, key("a"))
	url := e.created(t, e.CorrelationID(ann))
	e.dwolla.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: 503, Latency: 200 * time.Millisecond})
	outage := func() {
		if _, err := e.Enroll(t.Context(), ann, url); err == nil {
			t.Error("no outage")
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(outage)
	}
	all.Wait()
	if e.calls() > 10 {
		t.Errorf("Dwolla was asked %d times", e.calls())
	}
	e.dwolla.ClearFaults()
	if _, err := e.Enroll(t.Context(), ann, url); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
