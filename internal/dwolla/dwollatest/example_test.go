package dwollatest_test

import (
	"net/http"
	"testing"

	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

// A test of a service that vends client tokens and receives webhooks.
func ExampleNew() {
	var t *testing.T // the test's own

	dwolla := dwollatest.New(t, emulator.Options{})
	customer := dwolla.Customer(emulator.Customer{FirstName: "Ada", Type: "business"})
	// Configure the service with dwolla.URL, dwollatest.ClientID,
	// dwollatest.ClientSecret and dwollatest.WebhookSecret, start it, then register
	// its address.
	const service = "http://127.0.0.1:8080"
	dwolla.SendWebhooks(service + "/webhooks/dwolla")
	dwolla.SetStatus(customer.ID, "suspended")

	dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: http.StatusTooManyRequests})
	// Check the answers to users while Dwolla throttles.
	dwolla.ClearFaults()

	arrived, release := dwolla.Hold("/client-tokens", 1)
	// Ask for a client token in another goroutine.
	<-arrived
	// Change something while Dwolla has the request.
	release()

	_ = dwolla.TakeRequests() // Check what Dwolla was asked.
	_ = dwolla.Secrets()      // Check that the log holds none of these.
}
