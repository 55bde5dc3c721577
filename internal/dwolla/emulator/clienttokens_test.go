package emulator_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/dwolla/emulator"
)

func TestEveryDocumentedActionIsVended(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	actions := strings.Fields(`customer.create customer.read customer.update customer.documents.create
		customer.documents.read customer.fundingsources.create customer.fundingsources.read
		customer.microdeposits.create customer.microdeposits.verify beneficialowners.create beneficialowners.read
		beneficialowners.update beneficialowners.delete beneficialowner.delete beneficialowner.documents.create
		beneficialownership.read beneficialownership.certify businessclassifications.read`)
	form := regexp.MustCompile(`^[A-Za-z0-9]{50}$`)
	for _, action := range actions {
		token := d.vend(action, id)
		if !form.MatchString(token) {
			t.Errorf("%s: token %q", action, token)
		}
		all := d.ClientTokens()
		want := emulator.ClientToken{Token: token, Action: action, CustomerID: id, Created: d.clock.Now()}
		if diff := cmp.Diff(want, all[len(all)-1]); diff != "" {
			t.Errorf("%s: %s", action, diff)
		}
	}
	if got := len(d.ClientTokens()); got != len(actions) {
		t.Errorf("%d client tokens remembered, want %d", got, len(actions))
	}
}

func TestOnlyGoodClientTokenRequestsAreVended(t *testing.T) {
	d := start(t)
	customer, other := d.customer(emulator.Customer{}).ID, d.customer(emulator.Customer{}).ID
	owner, err := d.AddBeneficialOwner(customer)
	if err != nil {
		t.Fatal(err)
	}
	root, host := d.url, strings.TrimPrefix(d.url, "http://")
	body := func(action, links string) string { return `{"action":"` + action + `","_links":{` + links + `}}` }
	named := func(href string) string { return body("customer.read", `"customer":{"href":"`+href+`"}`) }
	owned := func(customer, href string) string {
		return body("beneficialowners.read",
			`"customer":{"href":"`+root+`/customers/`+customer+`"},"beneficial-owner":{"href":"`+href+`"}`)
	}
	const customerInvalid, ownerInvalid = "Invalid /_links/customer/href", "Invalid /_links/beneficial-owner/href"
	tests := map[string]struct{ body, problem string }{
		"own host":                     {named(root + "/customers/" + customer), ""},
		"https":                        {named("https://" + host + "/customers/" + customer), ""},
		"sandbox host":                 {named("https://API-sandbox.dwolla.com/customers/" + customer), ""},
		"id in upper case":             {named(root + "/customers/" + strings.ToUpper(customer)), ""},
		"create without a link":        {`{"action":"customer.create"}`, ""},
		"create with null links":       {`{"action":"customer.create","_links":null}`, ""},
		"classifications without":      {body("businessclassifications.read", ""), ""},
		"unknown members":              {`{"x":[1],"action":"customer.create"}`, ""},
		"beneficial owner":             {owned(customer, root+"/beneficial-owners/"+owner), ""},
		"beneficial owner alone":       {body("beneficialowners.read", `"beneficial-owner":{"href":"`+root+"/beneficial-owners/"+owner+`"}`), ""},
		"unknown owner alone":          {body("beneficialowners.read", `"beneficial-owner":{"href":"`+root+"/beneficial-owners/"+unknown+`"}`), ownerInvalid},
		"empty":                        {"", "BadRequest"},
		"not JSON":                     {"{", "BadRequest"},
		"two values":                   {`{"action":"customer.create"}{}`, "BadRequest"},
		"not an object":                {`["customer.create"]`, "BadRequest"},
		"action of another type":       {`{"action":1}`, "BadRequest"},
		"no action":                    {`{}`, "Required /action"},
		"unknown action":               {body("customer.delete", ""), "Invalid /action"},
		"action in upper case":         {body("CUSTOMER.READ", ""), "Invalid /action"},
		"no customer":                  {body("customer.read", ""), "Required /_links/customer/href"},
		"links in the other spelling":  {`{"action":"customer.read","links":{"customer":{"href":"` + root + "/customers/" + customer + `"}}}`, "Required /_links/customer/href"},
		"unknown Customer":             {named(root + "/customers/" + unknown), customerInvalid},
		"foreign host":                 {named("https://evil.example/customers/" + customer), customerInvalid},
		"production host":              {named("https://api.dwolla.com/customers/" + customer), customerInvalid},
		"host in front":                {named("https://evil.example/https://" + host + "/customers/" + customer), customerInvalid},
		"user info":                    {named("https://x@" + host + "/customers/" + customer), customerInvalid},
		"another scheme":               {named("ftp://" + host + "/customers/" + customer), customerInvalid},
		"relative":                     {named("/customers/" + customer), customerInvalid},
		"id only":                      {named(customer), customerInvalid},
		"trailing slash":               {named(root + "/customers/" + customer + "/"), customerInvalid},
		"query":                        {named(root + "/customers/" + customer + "?a=b"), customerInvalid},
		"another collection":           {named(root + "/accounts/" + customer), customerInvalid},
		"create for an unknown one":    {body("customer.create", `"customer":{"href":"`+root+"/customers/"+unknown+`"}`), customerInvalid},
		"owner of another Customer":    {owned(other, root+"/beneficial-owners/"+owner), ownerInvalid},
		"unknown owner":                {owned(customer, root+"/beneficial-owners/"+unknown), ownerInvalid},
		"owner at a foreign host":      {owned(customer, "https://evil.example/beneficial-owners/"+owner), ownerInvalid},
		"Customer in the owner's link": {owned(customer, root+"/customers/"+customer), ownerInvalid},
	}
	access := d.accessToken()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := d.call(access, http.MethodPost, "/client-tokens", test.body)
			if test.problem != "" {
				got.wantProblem(t, http.StatusBadRequest, test.problem)
			} else if got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestAPayInNeedsDestinationAndAmount(t *testing.T) {
	d := start(t)
	access, id := d.accessToken(), d.customer(emulator.Customer{}).ID
	source := d.url + "/funding-sources/" + unknown
	const usd = `,"amount":{"currency":"USD","value":"1.01"}`
	tests := map[string]struct{ destination, amount, problem string }{
		"good":              {source, usd, ""},
		"no destination":    {"", usd, "Required /_links/destination/href"},
		"foreign":           {"https://evil.example/funding-sources/" + unknown, usd, "Invalid /_links/destination/href"},
		"a Customer":        {d.url + "/customers/" + id, usd, "Invalid /_links/destination/href"},
		"not a UUID":        {d.url + "/funding-sources/x", usd, "Invalid /_links/destination/href"},
		"no amount":         {source, "", "Required /amount"},
		"another currency":  {source, `,"amount":{"currency":"EUR","value":"1.01"}`, "Invalid /amount/currency"},
		"nothing":           {source, `,"amount":{"currency":"USD","value":"0.00"}`, "InvalidFormat /amount/value"},
		"negative":          {source, `,"amount":{"currency":"USD","value":"-1"}`, "InvalidFormat /amount/value"},
		"part of a cent":    {source, `,"amount":{"currency":"USD","value":"1.001"}`, "InvalidFormat /amount/value"},
		"a dangling point":  {source, `,"amount":{"currency":"USD","value":"1."}`, "InvalidFormat /amount/value"},
		"exponent":          {source, `,"amount":{"currency":"USD","value":"1e3"}`, "InvalidFormat /amount/value"},
		"value as a number": {source, `,"amount":{"currency":"USD","value":1}`, "BadRequest"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := d.call(access, http.MethodPost, "/client-tokens", fmt.Sprintf(
				`{"action":"customer.transfers.send","_links":{"customer":{"href":"%s/customers/%s"},"destination":{"href":"%s"}}%s}`,
				d.url, id, test.destination, test.amount))
			if test.problem != "" {
				got.wantProblem(t, http.StatusBadRequest, test.problem)
				return
			}
			var answer struct{ Token, Blob string }
			got.decode(t, http.StatusOK, &answer)
			want := []emulator.ClientToken{{
				Token: answer.Token, Blob: answer.Blob, Action: "customer.transfers.send", CustomerID: id, Created: d.clock.Now(),
				Destination: source, Amount: emulator.Amount{Currency: "USD", Value: "1.01"},
			}}
			if diff := cmp.Diff(want, d.ClientTokens()); diff != "" || answer.Blob == "" {
				t.Errorf("blob %q: %s", answer.Blob, diff)
			}
		})
	}
}

func TestClientTokenWorksOnce(t *testing.T) {
	d := start(t)
	id, other := d.customer(emulator.Customer{}).ID, d.customer(emulator.Customer{}).ID
	token := d.vend("customer.read", id)
	refusals := []struct {
		name, method, path string
		status             int
		code               string
	}{
		{"another action", "POST", "/customers/" + id, 403, "Forbidden"},
		{"another Customer", "GET", "/customers/" + other, 403, "Forbidden"},
		{"no Customer at all", "GET", "/customers/" + unknown, 403, "Forbidden"},
		{"vending", "POST", "/client-tokens", 403, "Forbidden"},
		{"creating", "POST", "/customers", 403, "Forbidden"},
		{"owners", "GET", "/customers/" + id + "/beneficial-owners", 403, "Forbidden"},
		{"method", "DELETE", "/customers/" + id, 405, "MethodNotAllowed"},
	}
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			d.t = t
			d.call(token, test.method, test.path, d.vendBody("customer.read", id)).wantProblem(t, test.status, test.code)
		})
	}
	d.t = t
	noVersion := d.request(token, http.MethodGet, "/customers/"+id, "")
	noVersion.Header.Del("Accept")
	d.send(noVersion).wantProblem(t, http.StatusNotAcceptable, "InvalidVersion")
	if d.ClientTokens()[0].Used {
		t.Fatal("a refused call has used the token up")
	}
	if got := d.call(token, http.MethodGet, "/customers/"+strings.ToUpper(id), ""); got.status != http.StatusOK {
		t.Fatalf("first use: %d %s", got.status, got.body)
	}
	if !d.ClientTokens()[0].Used {
		t.Error("not marked as used")
	}
	d.call(token, http.MethodGet, "/customers/"+id, "").wantProblem(t, http.StatusUnauthorized, "InvalidAccessToken")
}

func TestFailedCallUsesUpItsClientToken(t *testing.T) {
	d := start(t)
	token := d.vend("customer.create", "")
	d.call(token, http.MethodPost, "/customers", "{").wantProblem(t, http.StatusBadRequest, "BadRequest")
	d.call(token, http.MethodPost, "/customers", "{}").wantProblem(t, http.StatusUnauthorized, "InvalidAccessToken")
}

func TestOfManyUsesAtOnceOneWins(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	token := d.vend("customer.read", id)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		r := d.request(token, http.MethodGet, "/customers/"+id, "")
		wg.Go(func() {
			if response, err := d.client.Do(r); err == nil {
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					won.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d uses succeeded", won.Load())
	}
}

func TestAClientTokenLivesOneHour(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	young, old := d.vend("customer.read", id), d.vend("customer.read", id)
	d.ExpireAccessTokens() // which leaves client tokens alone
	d.clock.advance(time.Hour - time.Nanosecond)
	if got := d.call(young, http.MethodGet, "/customers/"+id, ""); got.status != http.StatusOK {
		t.Errorf("just in time: %d", got.status)
	}
	d.clock.advance(time.Nanosecond)
	d.call(old, http.MethodGet, "/customers/"+id, "").wantProblem(t, http.StatusUnauthorized, "ExpiredAccessToken")
}

func TestAnIdempotencyKeyRepeatsTheAnswer(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	post := func(path, body, key string) reply {
		r := d.request(access, http.MethodPost, path, body)
		r.Header.Set("Idempotency-Key", key)
		return d.send(r)
	}
	const vend, create = `{"action":"customer.create"}`, `{"firstName":"A","lastName":"B","email":"a@b.co","correlationId":"c-1"}`
	first := post("/client-tokens", vend, "k1")
	if again := post("/client-tokens", vend, "k1"); string(again.body) != string(first.body) || again.status != 200 {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	if other := post("/client-tokens", vend, "k2"); string(other.body) == string(first.body) {
		t.Error("the same token for another key")
	}
	post("/client-tokens", vend+" ", "k1").wantProblem(t, http.StatusBadRequest, "BadRequest")
	location := post("/customers", create, "k1").header.Get("Location")
	if again := post("/customers", create, "k1"); again.status != 201 || again.header.Get("Location") != location {
		t.Errorf("%s, then %d %s", location, again.status, again.header.Get("Location"))
	}
	post("/customers", create, "k3").wantProblem(t, http.StatusBadRequest, "Duplicate /correlationId")

	d.clock.advance(24 * time.Hour)
	access = d.accessToken()
	if later := post("/client-tokens", vend, "k1"); string(later.body) == string(first.body) {
		t.Error("remembered for more than 24 hours")
	}
}
