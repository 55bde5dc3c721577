package dwolla_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla"
	"dropgate/internal/dwolla/emulator"
)

const (
	hookSecret = "hook s3cret/+ü"

	// The signature was made with openssl dgst -sha256 -hmac.
	createdBody      = `{"id":"e1","topic":"customer_created","resourceId":"707177c3-bf15-4e7e-b37c-55c3898d9bf4","created":"2019-05-30T18:21:11.490Z"}`
	createdSignature = "19ae8b2d7e839db6198255ffe9a55108c03663390bb64c31939761ad02e23914"
)

func readWebhook(t testing.TB, signature, body string) (dwolla.Webhook, error) {
	t.Helper()
	return dwolla.ReadWebhook(api(t, ""), clienttoken.NewSecret(hookSecret), signature, []byte(body))
}

func TestAWebhookIsReadAsDwollaWroteIt(t *testing.T) {
	customer, err := clienttoken.ParseCustomerID(api(t, ""), someCustomer)
	if err != nil {
		t.Fatal(err)
	}
	want := dwolla.Webhook{ID: "e1", Topic: clienttoken.TopicCustomerCreated, Customer: customer, Created: time.Date(2019, 5, 30, 18, 21, 11, 490e6, time.UTC)}
	got, err := readWebhook(t, createdSignature, createdBody)
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestReadWebhookNeedsTheRightSignature(t *testing.T) {
	other := emulator.Sign("another secret", createdBody)
	for name, signature := range map[string]string{
		"missing":           "",
		"of another secret": other,
		"of another body":   emulator.Sign(hookSecret, createdBody+" "),
		"twice":             createdSignature + ", " + createdSignature,
		"twice on end":      createdSignature + createdSignature,
		"beside another":    other + ", " + createdSignature,
		"in upper case":     strings.ToUpper(createdSignature),
		"with a prefix":     "sha256=" + createdSignature,
		"with a space":      " " + createdSignature,
		"with a line break": createdSignature + "\n",
		"cut short":         createdSignature[:63],
		"half":              createdSignature[:32],
		"no hexadecimal":    strings.Repeat("z", 64),
		"of an empty key":   emulator.Sign("", createdBody),
	} {
		if got, err := readWebhook(t, signature, createdBody); !errors.Is(err, dwolla.ErrSignature) || got != (dwolla.Webhook{}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for i := range createdSignature {
		wrong := []byte(createdSignature)
		wrong[i] ^= 1
		if _, err := readWebhook(t, string(wrong), createdBody); !errors.Is(err, dwolla.ErrSignature) {
			t.Errorf("digit %d is wrong: %v", i, err)
		}
	}
}

func TestNothingIsSignedWithAnEmptySecret(t *testing.T) {
	for _, secret := range []clienttoken.Secret{{}, clienttoken.NewSecret("")} {
		_, err := dwolla.ReadWebhook(api(t, ""), secret, emulator.Sign("", createdBody), []byte(createdBody))
		if !errors.Is(err, dwolla.ErrSignature) {
			t.Error(err)
		}
	}
}

func TestSignatureIsCheckedBeforeTheBody(t *testing.T) {
	for _, body := range []string{"", "x", "{", `{"id":7}`, strings.Repeat("[", 1<<16)} {
		if _, err := readWebhook(t, createdSignature, body); !errors.Is(err, dwolla.ErrSignature) || errors.Is(err, dwolla.ErrWebhook) {
			t.Errorf("%.20s: %v", body, err)
		}
	}
}

// event is a body with one member replaced, or left out when it is empty.
func event(member, value string) string {
	members := []string{"id", "topic", "resourceId", "created"}
	values := map[string]string{
		"id": `"e1"`, "topic": `"customer_suspended"`, "resourceId": `"` + someCustomer + `"`, "created": `"2019-05-30T18:21:11Z"`,
	}
	values[member] = value
	if !slices.Contains(members, member) {
		members = append(members, member)
	}
	var all []string
	for _, name := range members {
		if values[name] != "" {
			all = append(all, `"`+name+`":`+values[name])
		}
	}
	return "{" + strings.Join(all, ",") + "}"
}

func TestUnusableSignedBodiesAreErrors(t *testing.T) {
	tests := map[string]string{
		"nothing":                    "",
		"null":                       "null",
		"a list":                     "[" + event("id", `"MARKER"`) + "]",
		"two values":                 event("id", `"MARKER"`) + event("id", `"MARKER"`),
		"cut short":                  event("id", `"MARKER"`)[:60],
		"no UTF-8":                   event("id", "\"MARKER\xff\""),
		"id twice":                   event("more", `1,"id":"MARKER"`),
		"topic twice":                event("more", `1,"topic":"MARKER"`),
		"resourceId twice":           event("more", `1,"resourceId":"MARKER"`),
		"a foreign member twice":     event("more", `{"MARKER":1,"MARKER":2}`),
		"no id":                      event("id", ""),
		"a null id":                  event("id", "null"),
		"an empty id":                event("id", `""`),
		"an id of 256":               event("id", `"`+strings.Repeat("i", 256)+`"`),
		"an id with a line break":    event("id", `"MARKER\n"`),
		"an id with a space":         event("id", `"MARKER e"`),
		"an id that is not ASCII":    event("id", `"MARKER\u202e"`),
		"a number as id":             event("id", `7`),
		"no topic":                   event("topic", ""),
		"a topic of 256":             event("topic", `"`+strings.Repeat("t", 256)+`"`),
		"a topic with a NUL":         event("topic", `"MARKER\u0000"`),
		"an object as topic":         event("topic", `{"MARKER":1}`),
		"no resourceId":              event("resourceId", ""),
		"a null resourceId":          event("resourceId", "null"),
		"a number as resourceId":     event("resourceId", "7"),
		"a resourceId that is none":  event("resourceId", `"MARKER"`),
		"a resourceId that is a URL": event("resourceId", `"https://api-sandbox.dwolla.com/customers/`+someCustomer+`"`),
		"no created":                 event("created", ""),
		"an empty created":           event("created", `""`),
		"a day as created":           event("created", `"2019-05-30"`),
		"no zone":                    event("created", `"2019-05-30T18:21:11.490"`),
		"a day that is none":         event("created", `"2019-02-30T18:21:11Z"`),
		"a number as created":        event("created", `1559240471`),
		"long before Dwolla":         event("created", `"0001-01-01T00:00:00Z"`),
		"the year 10000 in UTC":      event("created", `"9999-12-31T23:59:59-23:59"`),
		"words as created":           event("created", `"MARKER"`),
		"id in another case":         strings.Replace(event("id", `"MARKER"`), `"id"`, `"ID"`, 1),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			signature := emulator.Sign(hookSecret, body)
			got, err := readWebhook(t, signature, body)
			if !errors.Is(err, dwolla.ErrWebhook) || got != (dwolla.Webhook{}) {
				t.Fatalf("got %+v, %v", got, err)
			}
			for _, secret := range []string{"MARKER", hookSecret, signature} {
				wantNothingOf(t, secret, err)
			}
		})
	}
}

func TestUnpromisedMembersAreAccepted(t *testing.T) {
	for name, body := range map[string]string{
		"more members":           event("_links", `{"customer":{"href":"https://evil.example/"},"self":null}`),
		"a correlationId":        event("correlationId", `"c"`),
		"a timestamp":            event("timestamp", `"yesterday"`),
		"white space":            " " + event("", "") + "\r\n",
		"no fraction":            event("created", `"2019-05-30T18:21:11Z"`),
		"nanoseconds":            event("created", `"2019-05-30T18:21:11.000000001Z"`),
		"another zone":           event("created", `"2019-05-30T20:21:11+02:00"`),
		"the longest id":         event("id", `"`+strings.Repeat("~", 255)+`"`),
		"a Customer in capitals": event("resourceId", `"`+strings.ToUpper(someCustomer)+`"`),
		"an escape":              event("topic", `"customer\u005fsuspended"`),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readWebhook(t, emulator.Sign(hookSecret, body), body)
			if err != nil {
				t.Fatal(err)
			}
			if got.Topic != "customer_suspended" || got.Customer.ID() != someCustomer ||
				got.Created.Location() != time.UTC || got.Created.Truncate(time.Second) != time.Date(2019, 5, 30, 18, 21, 11, 0, time.UTC) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestOtherTopicsNameNoCustomer(t *testing.T) {
	for _, topic := range []string{
		"customer_transfer_created", "customer_beneficial_owner_created", "account_suspended", "transfer:created",
		"CUSTOMER_CREATED", "somethingnew", "customer_microdeposits_new", "customer_card_added",
	} {
		for _, resource := range []string{"", "null", "7", `"x"`, `{"a":[]}`, `"` + someCustomer + `"`} {
			body := strings.Replace(event("resourceId", resource), "customer_suspended", topic, 1)
			got, err := readWebhook(t, emulator.Sign(hookSecret, body), body)
			if err != nil || !got.Customer.IsZero() || string(got.Topic) != topic {
				t.Errorf("%s %s: got %+v, %v", topic, resource, got, err)
			}
		}
	}
}

func TestUnknownTopicMayNameACustomer(t *testing.T) {
	const root = "https://api-sandbox.dwolla.com/"
	for _, topic := range []string{
		"customer_verification_pending_review", "customer_address_verification_failed", "customer_kba_verification_failed",
		"customer_suspended_xyz", "customer_somethingnew", "customer_transferred",
	} {
		for resource, about := range map[string]bool{
			"": true, root + "customers/" + someCustomer: true, root + "customers/" + strings.ToUpper(someCustomer) + "/": true,
			root + "documents/" + someCustomer: false, root + "customers/" + someCustomer + "/documents": false, root + "customers/x": false,
		} {
			body := strings.Replace(event("resourceId", `"`+someCustomer+`"`), "customer_suspended", topic, 1)
			if resource != "" {
				body = strings.TrimSuffix(body, "}") + `,"_links":{"resource":{"href":"` + resource + `"}}}`
			}
			got, err := readWebhook(t, emulator.Sign(hookSecret, body), body)
			if err != nil || got.Customer.IsZero() == about {
				t.Errorf("%s: got %+v, %v", body, got, err)
			}
		}
	}
}

// FuzzReadWebhook: only signed bodies pass, and those can be used.
func FuzzReadWebhook(f *testing.F) {
	f.Add(createdSignature, createdBody)
	f.Add(strings.ToUpper(createdSignature), createdBody)
	f.Add("", "")
	for _, body := range []string{
		"null", "[]", `{"id":"e","id":"e"}`, event("topic", `"other"`), event("id", `"\u0000"`), event("resourceId", "null"),
		event("created", `"9999-12-31T23:59:59.999999999-23:59"`), event("created", `"0000-01-01T00:00:00+23:59"`),
		event("_links", `{"a":{"a":{"a":[1e999,"\ud800"]}}}`),
	} {
		f.Add("wrong", body)
	}
	f.Fuzz(func(t *testing.T, signature, body string) {
		right := emulator.Sign(hookSecret, body)
		if _, err := readWebhook(t, signature, body); signature != right && err != dwolla.ErrSignature { //nolint:errorlint // it and nothing with it
			t.Fatalf("signed with %q: %v", signature, err)
		}
		got, err := readWebhook(t, right, body)
		if err != nil {
			if !errors.Is(err, dwolla.ErrWebhook) || got != (dwolla.Webhook{}) || len(err.Error()) > 100 {
				t.Fatalf("got %+v, %v", got, err)
			}
			return
		}
		checkFuzzedWebhook(t, got)
	})
}

func checkFuzzedWebhook(t *testing.T, got dwolla.Webhook) {
	t.Helper()
	for _, word := range []string{got.ID, string(got.Topic)} {
		if word == "" || len(word) > 255 || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("passed %q", word)
		}
	}
	must, may := got.Topic.NamesCustomer(), strings.HasPrefix(string(got.Topic), "customer_")
	if must && got.Customer.IsZero() || !may && !got.Customer.IsZero() {
		t.Errorf("got %+v", got)
	}
	if _, err := got.Created.MarshalText(); err != nil || got.Created.Location() != time.UTC || got.Created.Year() < 1970 {
		t.Errorf("created %v, %v", got.Created, err)
	}
}

func ExampleReadWebhook() {
	sandbox, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		panic(err)
	}
	w, err := dwolla.ReadWebhook(sandbox, clienttoken.NewSecret(hookSecret), createdSignature, []byte(createdBody))
	fmt.Println(w.Topic, w.Customer, err)
	// Output: customer_created https://api-sandbox.dwolla.com/customers/707177c3-bf15-4e7e-b37c-55c3898d9bf4 <nil>
}
