package conformance_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

const (
	halJSON   = "application/vnd.dwolla.v1.hal+json"
	plainJSON = "application/json"
	unknown   = "00000000-0000-4000-8000-000000000000"
	industry  = "9ed3f670-7d6f-11e3-b1ce-5404a6144203"
)

type object = map[string]any

// caller calls an emulator, and judges requests and answers.
type caller struct {
	*emulator.Emulator

	judge  *judge
	t      *testing.T
	token  string
	worked map[operation]bool
}

func newCaller(t *testing.T) *caller {
	t.Helper()
	c := &caller{
		Emulator: emulator.New(emulator.Options{ClientID: "key", ClientSecret: "secret"}),
		judge:    &judge{read(t), t, knownDifferences()}, t: t, worked: map[operation]bool{},
	}
	r := c.request(http.MethodPost, "/token", "application/x-www-form-urlencoded", []byte("grant_type=client_credentials"))
	r.Header.Set("Accept", plainJSON)
	r.SetBasicAuth("key", "secret")
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(c.want(r, http.StatusOK).answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	c.token = got.AccessToken
	return c
}

func (c *caller) request(method, path, contentType string, body []byte) *http.Request {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, "https://api-sandbox.dwolla.com"+path, bytes.NewReader(body))
	r.Header.Set("Accept", halJSON)
	r.Header.Set("Authorization", "Bearer "+c.token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// want makes a call that is to succeed, and judges the request and the answer.
func (c *caller) want(r *http.Request, status int) exchange {
	c.t.Helper()
	x := c.record(r, status)
	c.judge.request(x)
	op, _ := c.judge.find(r)
	c.worked[op] = true
	return x
}

// refused makes a call that is to fail, and judges the answer only.
func (c *caller) refused(r *http.Request, status int) {
	c.t.Helper()
	c.record(r, status)
}

func (c *caller) record(r *http.Request, status int) exchange {
	c.t.Helper()
	if _, described := c.judge.find(r); !described {
		c.t.Fatalf("%s %s is not described", r.Method, r.URL.Path)
	}
	x, err := record(c.Emulator, r)
	if err != nil {
		c.t.Fatal(err)
	}
	if x.answer.Code != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", r.Method, r.URL, x.answer.Code, status, x.answer.Body)
	}
	c.judge.answer(x)
	return x
}

func (c *caller) get(path string) *http.Request {
	c.t.Helper()
	return c.request(http.MethodGet, path, "", nil)
}

// post has the one media type that the description names.
func (c *caller) post(path string, body object) *http.Request {
	c.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	media := plainJSON
	if path == "/customers" || strings.HasSuffix(path, "/funding-sources") {
		media = halJSON
	}
	return c.request(http.MethodPost, path, media, raw)
}

// create makes something and returns its path.
func (c *caller) create(path string, body object) string {
	c.t.Helper()
	return c.location(c.want(c.post(path, body), http.StatusCreated))
}

func (c *caller) location(x exchange) string {
	return strings.TrimPrefix(x.answer.Header().Get("Location"), "https://api-sandbox.dwolla.com")
}

func (c *caller) document(path, name string) *http.Request {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("documentType", "passport"); err != nil {
		c.t.Fatal(err)
	}
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err = part.Write([]byte("\x89PNG\r\n\x1a\n" + name)); err != nil {
		c.t.Fatal(err)
	}
	if err = form.Close(); err != nil {
		c.t.Fatal(err)
	}
	return c.request(http.MethodPost, path+"/documents", form.FormDataContentType(), body.Bytes())
}

func person(customerType, firstName string, more object) object {
	o := object{"firstName": firstName, "lastName": "Byron", "email": "ada@example.com", "type": customerType}
	maps.Copy(o, more)
	return o
}

func home() object {
	return object{"address1": "99-99 33rd St", "city": "Some City", "state": "NY", "postalCode": "11101"}
}

func personal(firstName, ssn string) object {
	o := person("personal", firstName, home())
	o["dateOfBirth"], o["ssn"] = "1980-01-31", ssn
	return o
}

func owner(firstName string) object {
	return object{
		"firstName": firstName, "lastName": "Lovelace", "dateOfBirth": "1980-01-31", "ssn": "123456789",
		"address": object{
			"address1": "1 Main Street", "city": "Des Moines", "stateProvinceRegion": "IA", "postalCode": "50309", "country": "US",
		},
	}
}

func business(controller, name string) object {
	o := person("business", "Ada", home())
	c := owner(controller)
	c["title"] = "CEO"
	maps.Copy(o, object{
		"businessType": "llc", "businessName": name, "businessClassification": industry, "ein": "12-3456789", "controller": c,
	})
	return o
}

func soleProprietor() object {
	o := personal("Ada", "1234")
	maps.Copy(o, object{
		"type": "business", "businessType": "soleProprietorship", "businessName": "Ada's Engines", "businessClassification": industry,
	})
	return o
}

func TestTheEmulatorFollowsTheDescription(t *testing.T) {
	c := newCaller(t)
	c.clientTokens()
	c.customers()
	c.documents()
	c.owners()
	c.fundingSources()
	c.want(c.get("/business-classifications"), http.StatusOK)
	c.want(c.get("/business-classifications/9ed3f669-7d6f-11e3-b545-5404a6144203"), http.StatusOK)
	c.refused(c.get("/business-classifications/"+unknown), http.StatusNotFound)
	c.token = "none"
	c.refused(c.get("/customers/"+unknown), http.StatusUnauthorized)
	for _, op := range c.judge.operations() {
		if c.serves(op) && !c.worked[op] {
			t.Errorf("%s is served, but no success was judged", op)
		}
	}
	c.judge.wantAllSeen()
}

// serves reports whether the emulator serves the operation.
func (c *caller) serves(op operation) bool {
	c.t.Helper()
	w := httptest.NewRecorder()
	path := strings.ReplaceAll(op.path, "{id}", unknown)
	c.ServeHTTP(w, httptest.NewRequestWithContext(c.t.Context(), op.method, path, http.NoBody))
	return w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed
}

func (c *caller) clientTokens() {
	c.t.Helper()
	id := c.add(emulator.Customer{})
	links := object{"customer": object{"href": "https://api-sandbox.dwolla.com/customers/" + id}}
	c.want(c.post("/client-tokens", object{"action": "customer.read", "_links": links}), http.StatusOK)
	c.want(c.post("/client-tokens", object{"action": "customer.create"}), http.StatusOK)
	c.refused(c.post("/client-tokens", object{"action": "customer.delete", "_links": links}), http.StatusBadRequest)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, c.post("/client-tokens", object{"action": "customer.create"}))
	access := c.token
	c.token = tokenIn(c.t, w)
	c.refused(c.post("/client-tokens", object{"action": "customer.create"}), http.StatusForbidden)
	c.token = access
}

func (c *caller) add(customer emulator.Customer) string {
	c.t.Helper()
	added, err := c.AddCustomer(customer)
	if err != nil {
		c.t.Fatal(err)
	}
	return added.ID
}

func (c *caller) customers() {
	c.t.Helper()
	for _, body := range []object{
		person("unverified", "Ada", object{"correlationId": "c-1"}),
		person("receive-only", "Ada", object{"businessName": "Jane Corp"}),
		personal("Ada", "1234"), personal("kba", "1234"), personal("suspended", "1234"),
		business("John", "Jane Corp"), soleProprietor(),
	} {
		c.want(c.get(c.create("/customers", body)), http.StatusOK)
	}
	path := c.create("/customers", person("unverified", "Ada", nil))
	c.want(c.post(path, object{"email": "eve@example.com"}), http.StatusOK)
	c.want(c.post(path, personal("retry", "1234")), http.StatusOK)
	c.want(c.post(path, personal("document", "123456789")), http.StatusOK)
	c.want(c.get(path), http.StatusOK)
	retry := c.create("/customers", business("retry", "Jane Corp"))
	c.want(c.get(retry), http.StatusOK)
	c.want(c.post(retry, business("John", "Jane Corp")), http.StatusOK)
	c.refused(c.post("/customers", object{"firstName": "Ada"}), http.StatusBadRequest)
	c.refused(c.post(path, object{"email": "x"}), http.StatusBadRequest)
	c.refused(c.post("/customers/"+c.add(emulator.Customer{Status: "suspended"}), object{"email": "eve@example.com"}), http.StatusForbidden)
	c.refused(c.get("/customers/"+unknown), http.StatusNotFound)
	c.refused(c.post("/customers/"+unknown, object{}), http.StatusNotFound)
}

func (c *caller) documents() {
	c.t.Helper()
	path := c.create("/customers", personal("document", "1234"))
	pending := c.location(c.want(c.document(path, "passport.png"), http.StatusCreated))
	c.want(c.get(pending), http.StatusOK)
	c.refused(c.document(path, "passport.png"), http.StatusBadRequest) // a duplicate
	failed := c.location(c.want(c.document(path, "test-document-upload-fail.png"), http.StatusCreated))
	c.want(c.get(failed), http.StatusOK)
	c.location(c.want(c.document(path, "test-document-upload-success.png"), http.StatusCreated))
	c.want(c.get(path+"/documents"), http.StatusOK)
	c.refused(c.document(path, "passport.png"), http.StatusForbidden) // verified
	c.refused(c.document("/customers/"+unknown, "passport.png"), http.StatusNotFound)
	c.refused(c.get("/customers/"+unknown+"/documents"), http.StatusNotFound)
	c.refused(c.get("/documents/"+unknown), http.StatusNotFound)
}

func (c *caller) owners() {
	c.t.Helper()
	customer := "/customers/" + c.add(emulator.Customer{Type: "business"})
	owners, ownership := customer+"/beneficial-owners", customer+"/beneficial-ownership"
	c.want(c.get(owners), http.StatusOK)
	path := c.create(owners, owner("incomplete"))
	c.want(c.get(path), http.StatusOK)
	c.want(c.get(owners), http.StatusOK)
	c.want(c.post(path, owner("document")), http.StatusOK)
	c.refused(c.post(path, owner("Joe")), http.StatusForbidden)
	c.want(c.document(path, "passport.png"), http.StatusCreated)
	c.want(c.get(path+"/documents"), http.StatusOK)
	c.want(c.get(ownership), http.StatusOK)
	c.want(c.post(ownership, object{"status": "certified"}), http.StatusOK)
	c.refused(c.post(ownership, object{"status": "x"}), http.StatusBadRequest)
	c.want(c.request(http.MethodDelete, path, "", nil), http.StatusOK)
	c.refused(c.request(http.MethodDelete, path, "", nil), http.StatusNotFound)
	c.refused(c.get(path), http.StatusNotFound)
	c.refused(c.get(path+"/documents"), http.StatusNotFound)
	c.refused(c.document(path, "passport.png"), http.StatusNotFound)
	c.refused(c.post(owners, object{"firstName": "Joe"}), http.StatusBadRequest)
	c.refused(c.post("/customers/"+unknown+"/beneficial-owners", owner("Joe")), http.StatusNotFound)
	c.refused(c.get("/customers/"+c.add(emulator.Customer{})+"/beneficial-ownership"), http.StatusForbidden)
}

func (c *caller) fundingSources() {
	c.t.Helper()
	id := c.add(emulator.Customer{Type: "personal"})
	sources := "/customers/" + id + "/funding-sources"
	balance, err := c.AddFundingSource(id, emulator.FundingSource{Type: "balance", Balance: "1.00", Created: time.Unix(0, 0)})
	if err != nil {
		c.t.Fatal(err)
	}
	bank := object{"routingNumber": "222222226", "accountNumber": "123456789", "bankAccountType": "checking", "name": "Checking"}
	path := c.create(sources, bank)
	deposits := path + "/micro-deposits"
	c.refused(c.post(sources, bank), http.StatusBadRequest) // a duplicate
	c.refused(c.post(sources, object{"name": "Checking"}), http.StatusBadRequest)
	c.want(c.get(path), http.StatusOK)
	c.refused(c.get(deposits), http.StatusNotFound)
	c.want(c.request(http.MethodPost, deposits, "", nil), http.StatusCreated)
	c.want(c.get(deposits), http.StatusOK)
	amount := func(value string) object { return object{"value": value, "currency": "USD"} }
	c.refused(c.post(deposits, object{"amount1": amount("0.09"), "amount2": amount("0.09")}), http.StatusBadRequest)
	c.want(c.post(deposits, object{"amount1": amount("0.01"), "amount2": amount("0.02")}), http.StatusOK)
	c.refused(c.post(deposits, object{"amount1": amount("0.01"), "amount2": amount("0.02")}), http.StatusForbidden)
	c.want(c.get(sources+"?removed=false"), http.StatusOK)
	c.want(c.get("/funding-sources/"+balance.ID+"/balance"), http.StatusOK)
	c.refused(c.get(path+"/balance"), http.StatusNotFound)
	c.want(c.post(path, object{"removed": true}), http.StatusOK)
	c.refused(c.post(path, object{"removed": true}), http.StatusForbidden)
	c.refused(c.get("/funding-sources/"+unknown), http.StatusNotFound)
	c.refused(c.get("/customers/"+unknown+"/funding-sources"), http.StatusNotFound)
}
