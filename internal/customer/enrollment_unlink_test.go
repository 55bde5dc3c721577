package customer_test

import (
	"context"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// slowDwolla answers after its release.
type slowDwolla struct {
	customer.DwollaCustomers

	asked, release chan struct{}
}

func hold(c customer.DwollaCustomers) slowDwolla {
	return slowDwolla{c, make(chan struct{}), make(chan struct{})}
}

func (h slowDwolla) GetCustomer(ctx context.Context, url clienttoken.CustomerURL) (clienttoken.Customer, error) {
	h.asked <- struct{}{}
	<-h.release
	return h.DwollaCustomers.GetCustomer(ctx, url)
}

// An operator unlinks on another replica during the call to Dwolla, before the user
// has a link.
func TestUnlinkStopsARunningEnrollment(t *testing.T) {
	e := newEnrolling(t, key("a"))
	held := hold(e.client)
	e.Enrollment = customer.NewEnrollment(keys(t, key("a")), e.links, e.store, held)
	url := e.created(t, e.CorrelationID(ann))
	done := make(chan error)
	go func() {
		_, err := e.Enroll(t.Context(), ann, url)
		done <- err
	}()
	<-held.asked
	unlink(t, e.store, "ann")
	close(held.release)
	if err := <-done; err == nil || !strings.Contains(err.Error(), "unlinked") {
		t.Errorf("error %v, want one about the unlink", err)
	}
	wantCustomer(t, e.store, "ann", "")
	e.refuses(t, ann, url) // asking again does not link either
	wantError(t, e.links.Link(t.Context(), "ann", url), nil)
}

func TestUnlinkStopsARunningWebhook(t *testing.T) {
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	held := hold(e.client)
	i.config.Dwolla = held
	i.reopen()
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, e.CorrelationID(ann))
	i.deliver(t, eventOf("customer_created", url.ID(), 1))
	go func() {
		<-held.asked
		unlink(t, e.store, "ann")
		close(held.release)
	}()
	i.settle(t)
	wantCustomer(t, e.store, "ann", "")
	e.refuses(t, ann, url)
	i.counted(t, "dropgate_webhooks_processed_total", "customer_created", "unmatched", 1)
}
