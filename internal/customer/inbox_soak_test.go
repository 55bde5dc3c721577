//go:build soak

package customer_test

import (
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// A proxy may have answered, or Dwolla's reads lag behind its webhooks.
func TestUnknownCustomerIsRetriedAtFirst(t *testing.T) {
	t.Parallel()
	for _, fault := range []emulator.Fault{{Status: 403, Times: 1}, {Status: 404, Times: 1}, {Status: 403, Body: "<html>", Times: 1}} {
		e := newEnrolling(t, key("a"))
		i := newInbox(t, e)
		wantError(t, e.Expect(t.Context(), ann), nil)
		url := e.created(t, e.CorrelationID(ann))
		e.dwolla.InjectFault(emulator.OpReadCustomer, fault)
		i.deliver(t, eventOf("customer_created", url.ID(), 1))
		i.settle(t)
		wantCustomer(t, e.store, "ann", url.ID())
	}
}

func TestWebhookIsRetriedUntilDwollaAnswers(t *testing.T) {
	t.Parallel()
	e := newEnrolling(t, key("a"))
	i := newInbox(t, e)
	i.config.Dwolla = &stubbornDwolla{DwollaCustomers: e.client, failures: 2}
	i.reopen()
	wantError(t, e.Expect(t.Context(), ann), nil)
	url := e.created(t, e.CorrelationID(ann))
	i.deliver(t, eventOf("customer_created", url.ID(), 1))
	i.settle(t)
	wantCustomer(t, e.store, "ann", url.ID())
	i.counted(t, "dropgate_webhooks_processed_total", "customer_created", "retried", 2)
	i.counted(t, "dropgate_webhooks_processed_total", "customer_created", "linked", 1)
}
