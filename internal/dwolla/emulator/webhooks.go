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
	"strings"
	"time"
)

// Webhook is an event for the subscriber, delivered or pending.
type Webhook struct {
	ID         string // the event's
	Topic      string
	CustomerID string
	ResourceID string    // the Customer's, or that of the owner, document or funding source
	Created    time.Time // in milliseconds, unique for each event
	Body       string    // the signed bytes
	Attempts   int       // number of attempts so far
	Delivered  bool      // an attempt was answered with 2xx
}

// Subscribe sends a signed webhook to address for every later event: something
// created, changed or removed through the API, or a change of status. A new address replaces the old
// one and gets its pending webhooks. An empty address ends the subscription and
// drops pending webhooks. The address must be an absolute http or https URL, and
// the secret must not be empty.
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

// Close ends the subscription and waits for attempts in progress. The API keeps
// working. Without a subscription there is nothing to close.
func (e *Emulator) Close() {
	e.webhooks.unsubscribe()
	e.webhooks.waitIdle()
}

// AwaitWebhooks waits until every webhook is acknowledged or given up, except those
// held by a fault. It returns an error if ctx ends first.
func (e *Emulator) AwaitWebhooks(ctx context.Context) error { return e.webhooks.await(ctx) }

// Webhooks returns the last 10 000 events that had a subscription, oldest first.
func (e *Emulator) Webhooks() []Webhook { return e.webhooks.list() }

// Redeliver sends an event again, like Dwolla's retry of a webhook. No injected
// fault affects it.
func (e *Emulator) Redeliver(eventID string) error { return e.webhooks.redeliver(eventID) }

// Sign returns Dwolla's signature of a webhook body, for the header
// X-Request-Signature-SHA-256. Tests use it to write their own webhooks.
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

// sendEvent sends the subscriber an event about a Customer. The caller holds the
// lock, so events are created in the order of the changes.
func (e *Emulator) sendEvent(topic, customerID string) {
	e.sendEventAbout(topic, customerID, customersPath+customerID)
}

// sendEventAbout sends an event about a resource of a Customer, given the resource's
// path.
func (e *Emulator) sendEventAbout(topic, customerID, path string) {
	if topic == "" || !e.webhooks.subscribed() {
		return
	}
	// A later event has a later time, so tests can check receivers that order
	// events by time.
	created := e.options.Now().UTC().Truncate(time.Millisecond)
	if !created.After(e.lastEvent) {
		created = e.lastEvent.Add(time.Millisecond)
	}
	e.lastEvent = created
	w := Webhook{
		ID: newUUID(), Topic: topic, CustomerID: customerID, Created: created,
		ResourceID: path[strings.LastIndexByte(path, '/')+1:],
	}
	body, err := json.Marshal(eventBody{
		ID: w.ID, ResourceID: w.ResourceID, Topic: topic, Created: wireTime(created),
		Links: eventLinks{
			Account:  link{Href: e.root + "/accounts/" + e.accountID},
			Customer: link{Href: e.root + customersPath + customerID},
			Resource: link{Href: e.root + path},
			Self:     link{Href: e.root + "/events/" + w.ID},
		},
	})
	if err != nil { // strings do encode
		return
	}
	w.Body = string(body)
	e.webhooks.post(w)
}

func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
