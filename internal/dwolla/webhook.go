package dwolla

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"dropgate/internal/clienttoken"
)

// SignatureHeader is the header with a webhook's signature.
const SignatureHeader = "X-Request-Signature-SHA-256"

var (
	// ErrSignature means the webhook is not signed with the subscription's secret. The
	// body was not read.
	ErrSignature = errors.New("the webhook's signature is missing or wrong")
	// ErrWebhook means Dwolla signed a body this service cannot use. Sending it again
	// cannot help.
	ErrWebhook = errors.New("the signed body is not a webhook")
)

// Webhook is one webhook event. It may arrive twice (same ID), and after a newer one
// (by Created).
type Webhook struct {
	ID    string            // at most 255 printable ASCII characters without spaces
	Topic clienttoken.Topic // of the same form; may be unlisted
	// Customer is the Customer the event is about. It is zero for an event about
	// anything else, such as a funding source.
	Customer clienttoken.CustomerURL
	Created  time.Time // in UTC
}

// ReadWebhook verifies and parses one webhook. The signature is the value of
// [SignatureHeader]. If the header came twice, pass the joined values, which never
// verify. The body must be unchanged.
//
// The error is ErrSignature or wraps ErrWebhook. It quotes neither the body nor the
// signature. With an empty secret nothing verifies. Unknown members are ignored, and
// so is the resourceId of an event about anything but a Customer.
func ReadWebhook(api clienttoken.API, secret clienttoken.Secret, signature string, body []byte) (Webhook, error) {
	if !signed(secret, signature, body) {
		return Webhook{}, ErrSignature
	}
	// Exact names only, and duplicate members are an error, so every reader sees the
	// same event.
	var event struct {
		ID         string            `json:"id"`
		Topic      clienttoken.Topic `json:"topic"`
		Created    string            `json:"created"`
		ResourceID jsontext.Value    `json:"resourceId"`
		Links      jsontext.Value    `json:"_links"`
	}
	if json.Unmarshal(body, &event) != nil { // the error may quote the body
		return Webhook{}, fmt.Errorf("%w: not one JSON object with the members of an event", ErrWebhook)
	}
	w := Webhook{ID: event.ID, Topic: event.Topic}
	switch {
	case !wellFormed(event.ID):
		return Webhook{}, fmt.Errorf("%w: the id is malformed", ErrWebhook)
	case !wellFormed(string(event.Topic)):
		return Webhook{}, fmt.Errorf("%w: the topic is malformed", ErrWebhook)
	case w.Created.UnmarshalText([]byte(event.Created)) != nil:
		return Webhook{}, fmt.Errorf("%w: created is not an RFC 3339 time", ErrWebhook)
	}
	w.Created = w.Created.UTC()
	// Created orders events in a database, so it must fit one.
	if year := w.Created.Year(); year < 1970 || year > 9999 {
		return Webhook{}, fmt.Errorf("%w: created is out of range", ErrWebhook)
	}
	if !event.Topic.NamesCustomer() {
		w.Customer = customerIn(api, event.Topic, event.ResourceID, event.Links)
		return w, nil
	}
	var id string
	if json.Unmarshal(event.ResourceID, &id) != nil {
		return Webhook{}, fmt.Errorf("%w: resourceId is not a string", ErrWebhook)
	}
	var err error
	if w.Customer, err = clienttoken.ParseCustomerID(api, id); err != nil { // err quotes the id
		return Webhook{}, fmt.Errorf("%w: resourceId is not a Customer id", ErrWebhook)
	}
	return w, nil
}

// customerIn returns the Customer an event with another topic is about, or the zero
// URL. A HAL link to the resource decides, since the resourceId may belong to
// anything.
func customerIn(api clienttoken.API, topic clienttoken.Topic, resourceID, links jsontext.Value) clienttoken.CustomerURL {
	var id string
	if !topic.MayNameCustomer() || json.Unmarshal(resourceID, &id) != nil {
		return clienttoken.CustomerURL{}
	}
	customer, err := clienttoken.ParseCustomerID(api, id)
	if err != nil {
		return clienttoken.CustomerURL{}
	}
	var named struct {
		Resource struct {
			Href string `json:"href"`
		} `json:"resource"`
	}
	if len(links) > 0 && json.Unmarshal(links, &named) != nil {
		return clienttoken.CustomerURL{}
	}
	href := strings.ToLower(strings.TrimSuffix(named.Resource.Href, "/"))
	if href != "" && !strings.HasSuffix(href, "/customers/"+customer.ID()) {
		return clienttoken.CustomerURL{}
	}
	return customer
}

// signed compares in constant time. It accepts only 64 lower-case hexadecimal digits,
// Dwolla's form, so a body has one signature.
func signed(secret clienttoken.Secret, signature string, body []byte) bool {
	if secret.IsZero() { // anyone could sign with it
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = mac.Write(body) // documented never to fail
	want := hex.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(signature), []byte(want))
}

// wellFormed reports whether s may be an event's id or topic. Dwolla sends UUIDs and
// words, but promises neither.
func wellFormed(s string) bool {
	const longest = 255
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
