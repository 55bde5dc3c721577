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

// SignatureHeader is where Dwolla puts the signature of a webhook.
const SignatureHeader = "X-Request-Signature-SHA-256"

var (
	// ErrSignature says that a webhook is not signed with the subscription's
	// secret. Nothing of its body has been looked at.
	ErrSignature = errors.New("the webhook's signature is missing or wrong")
	// ErrWebhook says that what Dwolla has signed cannot be used. Sending it again
	// cannot help.
	ErrWebhook = errors.New("the signed body is no webhook")
)

// Webhook is one event of Dwolla's, as its webhook tells it. The same event may
// arrive twice (ID tells), and an older one after a newer one (Created tells).
type Webhook struct {
	ID    string            // the event's, at most 255 printable ASCII characters without spaces
	Topic clienttoken.Topic // at most 255 printable ASCII characters without spaces; may be unlisted
	// Customer is the Customer that the event is about. It is zero for an event
	// about something else, such as a funding source of a Customer.
	Customer clienttoken.CustomerURL
	Created  time.Time // in UTC
}

// ReadWebhook verifies and reads one webhook. The signature is the value of
// [SignatureHeader]; of a header that came twice give the values joined, which
// is no signature. The body must be as it came, byte for byte.
//
// The error is ErrSignature or wraps ErrWebhook. It quotes neither the body nor
// the signature. An empty secret verifies nothing. Members of the body that
// this package does not know are ignored, and so is the resourceId of an event
// about something else than a Customer.
func ReadWebhook(api clienttoken.API, secret clienttoken.Secret, signature string, body []byte) (Webhook, error) {
	if !signed(secret, signature, body) {
		return Webhook{}, ErrSignature
	}
	// Exact names only, and a member given twice is an error: nobody reads
	// another event in this body than we do.
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
		return Webhook{}, fmt.Errorf("%w: no id that could be one", ErrWebhook)
	case !wellFormed(string(event.Topic)):
		return Webhook{}, fmt.Errorf("%w: no topic that could be one", ErrWebhook)
	case w.Created.UnmarshalText([]byte(event.Created)) != nil:
		return Webhook{}, fmt.Errorf("%w: created is no time of RFC 3339", ErrWebhook)
	}
	w.Created = w.Created.UTC()
	// What is told apart by time must also be a time to a database.
	if year := w.Created.Year(); year < 1970 || year > 9999 {
		return Webhook{}, fmt.Errorf("%w: created is no time that could be", ErrWebhook)
	}
	if !event.Topic.NamesCustomer() {
		w.Customer = customerIn(api, event.Topic, event.ResourceID, event.Links)
		return w, nil
	}
	var id string
	if json.Unmarshal(event.ResourceID, &id) != nil {
		return Webhook{}, fmt.Errorf("%w: resourceId is no string", ErrWebhook)
	}
	var err error
	if w.Customer, err = clienttoken.ParseCustomerID(api, id); err != nil { // err quotes the id
		return Webhook{}, fmt.Errorf("%w: resourceId is no id of a Customer", ErrWebhook)
	}
	return w, nil
}

// customerIn returns the Customer that an event of another topic is about, or the
// zero URL. The link to the resource decides, where there is one: the resourceId
// may be the id of anything.
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

// signed compares in constant time. It is strict about the form, so that one
// body has one signature: 64 lower-case hexadecimal digits, as Dwolla sends it.
func signed(secret clienttoken.Secret, signature string, body []byte) bool {
	if secret.IsZero() { // everybody can sign with that
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	_, _ = mac.Write(body) // documented never to fail
	want := hex.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(signature), []byte(want))
}

// wellFormed reports whether s can be the id or the topic of an event. Dwolla's
// ids are UUIDs and its topics words, but it promises neither.
func wellFormed(s string) bool {
	const longest = 255
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
