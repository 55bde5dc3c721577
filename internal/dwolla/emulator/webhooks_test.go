package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/dwolla/emulator"
)

const creation = `{"firstName":"Ada","lastName":"Byron","email":"ada@example.com","correlationId":"dg1.abc"}`

func TestCreationSendsAWebhook(t *testing.T) {
	for name, token := range map[string]func(*dwolla) string{
		"by a client token":  func(d *dwolla) string { return d.vend("customer.create", "") },
		"by the application": (*dwolla).accessToken,
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			m := d.subscribe()
			location := d.call(token(d), http.MethodPost, "/customers", creation).header.Get("Location")
			d.await()
			read := m.read(t)
			if len(read) != 1 {
				t.Fatalf("got %+v", read)
			}
			mail := m.mail()[0]
			if mail.header.Get("X-Dwolla-Topic") != "customer_created" || mail.header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", mail.header)
			}
			id := strings.TrimPrefix(location, d.url+"/customers/")
			d.wantCreatedBody(mail.body, read[0].ID, id)
			want := []emulator.Webhook{{
				ID: read[0].ID, Topic: "customer_created", CustomerID: id, ResourceID: id, Created: d.clock.Now(), Body: mail.body, Attempts: 1, Delivered: true,
			}}
			if diff := cmp.Diff(want, d.Webhooks()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// wantCreatedBody compares a webhook with Dwolla's own, member by member.
func (d *dwolla) wantCreatedBody(body, event, customer string) {
	d.t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		d.t.Fatal(err)
	}
	href := func(path string) map[string]any { return map[string]any{"href": d.url + path} }
	links, _ := got["_links"].(map[string]any)
	account, _ := links["account"].(map[string]any)
	if at, _ := account["href"].(string); !strings.HasPrefix(at, d.url+"/accounts/") {
		d.t.Errorf("account %v", account)
	}
	want := map[string]any{
		"id": event, "resourceId": customer, "topic": "customer_created", "created": "2026-05-01T12:00:00.000Z",
		"_links": map[string]any{
			"account": account, "customer": href("/customers/" + customer), "resource": href("/customers/" + customer), "self": href("/events/" + event),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Error(diff)
	}
}

func TestStatusChangeHasItsTopic(t *testing.T) {
	tests := map[string]struct {
		statuses []string // the first one is the Customer's own
		topics   []string
	}{
		"suspended":         {[]string{"unverified", "suspended"}, []string{"customer_suspended"}},
		"deactivated":       {[]string{"verified", "deactivated"}, []string{"customer_deactivated"}},
		"verified":          {[]string{"document", "verified"}, []string{"customer_verified"}},
		"retry":             {[]string{"unverified", "retry"}, []string{"customer_reverification_needed"}},
		"document":          {[]string{"retry", "document"}, []string{"customer_verification_document_needed"}},
		"active again":      {[]string{"suspended", "verified"}, []string{"customer_activated"}},
		"revived":           {[]string{"deactivated", "unverified"}, []string{"customer_activated"}},
		"revived to prove":  {[]string{"suspended", "document"}, []string{"customer_activated"}},
		"from bad to worse": {[]string{"suspended", "deactivated"}, []string{"customer_deactivated"}},
		"kba":               {[]string{"retry", "kba"}, []string{"customer_kba_verification_needed"}},
		"without a topic":   {[]string{"kba", "unverified"}, nil},
		"no change":         {[]string{"suspended", "suspended", "suspended"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			m := d.subscribe()
			id := d.customer(emulator.Customer{Status: test.statuses[0]}).ID
			d.setStatus(strings.ToUpper(id), test.statuses[1:]...)
			d.await()
			if got := m.topics(t); !slices.Equal(got, test.topics) {
				t.Errorf("got %v, want %v", got, test.topics)
			}
			for _, w := range m.read(t) {
				if w.Customer.ID() != id {
					t.Errorf("about %s", w.Customer)
				}
			}
		})
	}
}

func TestUpgradeSendsTheStatusesWebhook(t *testing.T) {
	d := start(t)
	m := d.subscribe()
	id := d.customer(emulator.Customer{}).ID
	for _, body := range []string{`{"firstName":"Eve"}`, personal("document").String()} {
		if got := d.call(d.accessToken(), http.MethodPost, "/customers/"+id, body); got.status != http.StatusOK {
			t.Fatal(got.status)
		}
	}
	d.await()
	if got := m.topics(t); !slices.Equal(got, []string{"customer_verification_document_needed"}) {
		t.Errorf("got %v", got)
	}
}

func TestFailedChangesSendNoWebhook(t *testing.T) {
	d := start(t)
	m := d.subscribe()
	d.customer(emulator.Customer{})
	d.call(d.accessToken(), http.MethodPost, "/customers", `{}`)
	d.InjectFault(emulator.OpCreateCustomer, emulator.Fault{Times: 1, Status: 500})
	d.call(d.accessToken(), http.MethodPost, "/customers", creation)
	if d.SetCustomerStatus(unknown, "suspended") == nil {
		t.Error("no error")
	}
	for range 2 { // the second time is the same creation
		r := d.request(d.accessToken(), http.MethodPost, "/customers", creation)
		r.Header.Set("Idempotency-Key", "k")
		d.send(r)
	}
	d.await()
	if got := m.topics(t); !slices.Equal(got, []string{"customer_created"}) {
		t.Errorf("got %v", got)
	}
}

func TestLaterEventHasALaterTime(t *testing.T) {
	d := start(t) // whose clock stands still
	m := d.subscribe()
	id := d.customer(emulator.Customer{}).ID
	for range 5 {
		d.setStatus(id, "suspended", "unverified")
	}
	d.await()
	sent := d.Webhooks()
	if len(sent) != 10 || len(m.read(t)) != 10 {
		t.Fatalf("%d sent, %d came", len(sent), len(m.mail()))
	}
	for i := range sent[1:] {
		if !sent[i+1].Created.After(sent[i].Created) {
			t.Errorf("%v after %v", sent[i+1].Created, sent[i].Created)
		}
	}
}

func TestWebhookIsRetriedUntilAcknowledged(t *testing.T) {
	for name, answers := range map[string][]int{
		"at once": {200}, "no content": {204}, "teapot": {418, 202}, "server errors": {500, 503, 201},
		"redirects": {301, 302, 303, 307, 308, 200}, "not modified": {304, 200},
	} {
		t.Run(name, func(t *testing.T) {
			d := startWith(t, emulator.Options{WebhookFirstRetry: time.Microsecond})
			m := d.subscribe(answers...)
			d.setStatus(d.customer(emulator.Customer{}).ID, "suspended")
			d.await()
			read := m.read(t)
			if len(read) != len(answers) {
				t.Fatalf("came %d times, want %d", len(read), len(answers))
			}
			if all := slices.Compact(read); len(all) != 1 {
				t.Errorf("came as %+v", all)
			}
			if w := d.Webhooks()[0]; w.Attempts != len(answers) || !w.Delivered {
				t.Errorf("known as %+v", w)
			}
		})
	}
}

func TestUndeliverableWebhookIsGivenUp(t *testing.T) {
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	d := startWith(t, emulator.Options{WebhookFirstRetry: time.Microsecond})
	d.mustSubscribe(nobody.URL)
	d.setStatus(d.customer(emulator.Customer{}).ID, "suspended")
	d.await()
	if w := d.Webhooks()[0]; w.Attempts != 9 || w.Delivered {
		t.Errorf("known as %+v", w)
	}
}

func TestInvalidSubscriptionIsAnError(t *testing.T) {
	e := emulator.New(emulator.Options{})
	for _, bad := range []string{"webhooks", "/webhooks", "ftp://a.test/", "http://", "http:///x", "http://a b/", "://"} {
		if e.Subscribe(bad, hookSecret) == nil {
			t.Errorf("%q is no error", bad)
		}
	}
	if e.Subscribe("http://127.0.0.1:1/", "") == nil {
		t.Error("no secret is no error")
	}
	if err := e.Subscribe("", ""); err != nil {
		t.Error(err)
	}
	e.Close()
}

func TestNoWebhooksWithoutASubscription(t *testing.T) {
	d := start(t)
	m := d.subscribe()
	id := d.customer(emulator.Customer{}).ID
	d.setStatus(id, "suspended")
	d.await()
	if err := d.Subscribe("", ""); err != nil {
		t.Fatal(err)
	}
	d.setStatus(id, "verified")
	d.await()
	if got := m.topics(t); !slices.Equal(got, []string{"customer_suspended"}) || len(d.Webhooks()) != 1 {
		t.Errorf("got %v, remembered %v", got, d.Webhooks())
	}
	if d.Redeliver(d.Webhooks()[0].ID) == nil {
		t.Error("redelivered to nobody")
	}
}

func TestNewAddressGetsPendingWebhooks(t *testing.T) {
	fakeTime(t, func(t *testing.T, d *dwolla, m *subscriber) {
		m.answers = []int{http.StatusServiceUnavailable}
		d.setStatus(d.customer(emulator.Customer{}).ID, "suspended")
		synctest.Wait()
		d.mustSubscribe("http://moved.test/")
		d.awaitInFakeTime()
		mail := m.mail()
		if len(m.read(t)) != 2 || mail[0].host != "subscriber.test" || mail[1].host != "moved.test" {
			t.Errorf("got %+v", mail)
		}
	})
}

func TestEventIsRedeliveredOnDemand(t *testing.T) {
	d := start(t)
	m := d.subscribe()
	d.setStatus(d.customer(emulator.Customer{}).ID, "suspended")
	d.await()
	sent := d.Webhooks()[0]
	d.InjectWebhookFault(emulator.WebhookFault{WrongSignature: true, Hold: true})
	if err := d.Redeliver(sent.ID); err != nil {
		t.Fatal(err)
	}
	d.await()
	if read := m.read(t); len(read) != 2 || read[0] != read[1] || d.Webhooks()[0].Attempts != 2 || len(d.Webhooks()) != 1 {
		t.Errorf("got %+v", read)
	}
	if d.Redeliver(unknown) == nil {
		t.Error("an unknown event is no error")
	}
}

func TestAwaitingWebhooksEndsWithItsContext(t *testing.T) {
	d := start(t)
	m := d.subscribe()
	m.block = make(chan struct{})
	d.setStatus(d.customer(emulator.Customer{}).ID, "suspended")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.AwaitWebhooks(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(m.block)
	d.await()
}

func TestWebhooksAreSafeForConcurrentUse(t *testing.T) {
	d := start(t)
	m := d.subscribe()
	const customers = 30
	done := make(chan struct{})
	for range customers {
		id := d.customer(emulator.Customer{}).ID
		go func() {
			defer func() { done <- struct{}{} }()
			d.setStatus(id, "suspended", "verified")
			d.InjectWebhookFault(emulator.WebhookFault{Times: 1, Twice: true})
			d.ReleaseWebhooks()
			d.Webhooks()
			d.await()
		}()
	}
	for range customers {
		<-done
	}
	d.ClearFaults()
	d.await()
	seen := map[string]bool{}
	for _, w := range m.read(t) {
		seen[w.ID] = true
	}
	if len(seen) != 2*customers || len(m.mail()) > 3*customers {
		t.Errorf("%d events in %d webhooks", len(seen), len(m.mail()))
	}
}
