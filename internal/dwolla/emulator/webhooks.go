package emulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// The topics of the webhooks that the emulator sends.
const (
	topicCreated        = "customer_created"
	topicVerified       = "customer_verified"
	topicRetry          = "customer_reverification_needed"
	topicDocumentNeeded = "customer_verification_document_needed"
	topicSuspended      = "customer_suspended"
	topicDeactivated    = "customer_deactivated"
	topicActivated      = "customer_activated"
)

// Webhook is an event that has been sent to the subscribed URL, or is on its way.
type Webhook struct {
	ID         string // the event's
	Topic      string
	CustomerID string
	Created    time.Time // in milliseconds; no two events have the same
	Body       string    // as it was signed, byte for byte
	Attempts   int       // how often it was sent so far
	Delivered  bool      // whether an attempt was answered with 2xx
}

// Subscribe has a signed webhook sent to address for every later event: a
// Customer that is created through the API, or whose status changes. There is
// one subscription at a time. Another address takes over what the earlier one
// has not acknowledged; an empty one ends the subscription, and forgets what is
// on its way. An address that is not an absolute http or https URL is an error,
// and so is an empty secret.
func (e *Emulator) Subscribe(address, secret string) error {
	if address == "" {
		e.webhooks.unsubscribe()
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("emulator: %q is not an absolute http or https URL", address)
	}
	if secret == "" {
		return errors.New("emulator: a subscription needs a secret")
	}
	e.webhooks.subscribe(address, secret)
	return nil
}

// Close ends the subscription and waits until nothing is being sent. The API
// goes on. An emulator that nobody ever subscribed to need not be closed.
func (e *Emulator) Close() {
	e.webhooks.unsubscribe()
	e.webhooks.rest()
}

// AwaitWebhooks waits until every webhook was acknowledged or given up, those
// held back by a fault excepted, or until ctx is done, which is an error.
func (e *Emulator) AwaitWebhooks(ctx context.Context) error { return e.webhooks.await(ctx) }

// Webhooks returns the events that had a subscription and are still remembered
// (the last 10 000), oldest first.
func (e *Emulator) Webhooks() []Webhook { return e.webhooks.list() }

// Redeliver sends an event once more, as Dwolla does when it is asked to retry
// a webhook. No fault strikes it.
func (e *Emulator) Redeliver(eventID string) error { return e.webhooks.redeliver(eventID) }

// Sign is the signature of a webhook's body as Dwolla makes it, for the header
// X-Request-Signature-SHA-256: for tests that write webhooks of their own.
func Sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(body)) // documented never to fail
	return hex.EncodeToString(mac.Sum(nil))
}

// eventBody is a webhook on the wire.
type eventBody struct {
	ID         string     `json:"id"`
	ResourceID string     `json:"resourceId"`
	Topic      string     `json:"topic"`
	Created    string     `json:"created"`
	Links      eventLinks `json:"_links"`
}

type eventLinks struct {
	Account  link `json:"account"`
	Customer link `json:"customer"`
	Resource link `json:"resource"`
	Self     link `json:"self"`
}

// tell sends the subscriber an event about a Customer. The caller holds the
// lock, so that the events are created in the order of what they tell.
func (e *Emulator) tell(topic, customerID string) {
	if topic == "" || !e.webhooks.subscribed() {
		return
	}
	// A later event has a later time, so that a receiver which orders by it can
	// be held to the outcome.
	created := e.options.Now().UTC().Truncate(time.Millisecond)
	if !created.After(e.lastEvent) {
		created = e.lastEvent.Add(time.Millisecond)
	}
	e.lastEvent = created
	customer := link{Href: e.root + customersPath + customerID}
	w := Webhook{ID: newUUID(), Topic: topic, CustomerID: customerID, Created: created}
	body, err := json.Marshal(eventBody{
		ID: w.ID, ResourceID: customerID, Topic: topic, Created: wireTime(created),
		Links: eventLinks{
			Account:  link{Href: e.root + "/accounts/" + e.accountID},
			Customer: customer,
			Resource: customer,
			Self:     link{Href: e.root + "/events/" + w.ID},
		},
	})
	if err != nil { // strings do encode
		return
	}
	w.Body = string(body)
	e.webhooks.post(w)
}

// topicOf is the topic of a change of a Customer's status; "" where Dwolla
// documents none.
func topicOf(from, to string) string {
	switch {
	case from == to:
		return ""
	case to == "suspended":
		return topicSuspended
	case to == "deactivated":
		return topicDeactivated
	case from == "suspended" || from == "deactivated":
		return topicActivated
	case to == "verified":
		return topicVerified
	case to == "retry":
		return topicRetry
	case to == "document":
		return topicDocumentNeeded
	default:
		return ""
	}
}

func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
