package dwolla_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

// request is a request of the client.
type request struct {
	method, path, body string
	header             http.Header
}

// captures keeps each request and answers with a client token.
func captures(requests *[]request) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*requests = append(*requests, request{r.Method, r.URL.RequestURI(), string(body), r.Header.Clone()})
		w.Header().Set("X-Request-Id", "the-request-id")
		_, _ = io.WriteString(w, `{"token":"the client token","blob":"x","id":"`+someCustomer+`","_links":{"self":{"href":"http://`+r.Host+r.URL.Path+`"}}}`)
	}
}

func TestCreateClientTokenSendsActionAndLinksOnly(t *testing.T) {
	var requests []request
	w := startWith(t, setup{api: captures(&requests)})
	customer := w.customerURL(t, strings.ToUpper(someCustomer))
	owner := w.ownerURL(t, strings.ToUpper(someOwner))
	link := func(relation, collection, id string) string {
		return `"` + relation + `":{"href":"` + w.URL + "/" + collection + "/" + id + `"}`
	}
	customerLink, ownerLink := link("customer", "customers", someCustomer), link("beneficial-owner", "beneficial-owners", someOwner)
	tests := map[string]struct {
		grant clienttoken.Grant
		want  string
	}{
		"no Customer": {
			clienttoken.Grant{Action: clienttoken.ActionCustomerCreate},
			`{"action":"customer.create"}`,
		},
		"a Customer": {
			clienttoken.Grant{Action: clienttoken.ActionCustomerRead, Customer: customer},
			`{"action":"customer.read","_links":{` + customerLink + `}}`,
		},
		"a Customer and an owner": {
			clienttoken.Grant{Action: clienttoken.ActionBeneficialOwnersUpdate, Customer: customer, BeneficialOwner: owner},
			`{"action":"beneficialowners.update","_links":{` + ownerLink + "," + customerLink + `}}`,
		},
		"an owner without a Customer": { // the heart asks for none; it must not be a panic
			clienttoken.Grant{Action: clienttoken.ActionBeneficialOwnersRead, BeneficialOwner: owner},
			`{"action":"beneficialowners.read","_links":{` + ownerLink + `}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			requests = nil
			if _, err := w.client.CreateClientToken(t.Context(), test.grant); err != nil {
				t.Fatal(err)
			}
			if len(requests) != 1 {
				t.Fatalf("%d requests", len(requests))
			}
			if got := requests[0]; got.method != http.MethodPost || got.path != "/client-tokens" || got.body != test.want {
				t.Errorf("got %s %s %s, want %s", got.method, got.path, got.body, test.want)
			}
		})
	}
}

func TestRequestsCarryOnlyTheExpectedHeaders(t *testing.T) {
	var requests []request
	w := startWith(t, setup{
		token: answers(http.StatusOK, `{"access_token":"the-access-token","token_type":"Bearer","expires_in":3599}`),
		api:   captures(&requests),
	})
	w.mustVend(t)
	customer := w.customerURL(t, someCustomer)
	if _, err := w.client.GetCustomer(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.ListBeneficialOwners(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"POST /client-tokens application/json",
		"GET /customers/" + someCustomer + " ",
		"GET /customers/" + someCustomer + "/beneficial-owners ",
	}
	if len(requests) != len(want) {
		t.Fatalf("%d requests", len(requests))
	}
	for i, r := range requests {
		if got := r.method + " " + r.path + " " + r.header.Get("Content-Type"); got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
		if r.method == http.MethodGet && r.body != "" {
			t.Errorf("%s: a GET with the body %q", r.path, r.body)
		}
		r.wantHeaders(t)
	}
}

func (r request) wantHeaders(t *testing.T) {
	t.Helper()
	if got := r.header.Values("Accept"); !slices.Equal(got, []string{"application/vnd.dwolla.v1.hal+json"}) {
		t.Errorf("%s: Accept %q", r.path, got)
	}
	if got := r.header.Values("Authorization"); !slices.Equal(got, []string{"Bearer the-access-token"}) {
		t.Errorf("%s: Authorization %q", r.path, got)
	}
	for name := range r.header {
		if !slices.Contains([]string{"Accept", "Authorization", "Content-Type", "Content-Length", "User-Agent"}, name) {
			t.Errorf("%s: the header %s: %q", r.path, name, r.header[name])
		}
	}
}

func TestCreateClientTokenReturnsTokenAndRequestID(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusCreated} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			w := startWith(t, setup{api: answers(status, `{"token":"the client token"}`)})
			token := w.mustVend(t)
			if token.Reveal() != "the client token" || token.DwollaRequestID != "req-1" {
				t.Errorf("got %q, request id %q", token.Reveal(), token.DwollaRequestID)
			}
		})
	}
}

func TestATokenPrintsAsAMask(t *testing.T) {
	w := start(t)
	token := w.mustVend(t)
	encoded, err := json.Marshal(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(token), fmt.Sprintf("%s %q %v %+v %#v %x %d", token, token, token, token, token, token, token),
		fmt.Sprintf("%+v", struct{ token clienttoken.Token }{token}), string(encoded),
	} {
		w.wantNoSecret(t, "the text", text)
	}
	if !strings.Contains(fmt.Sprint(token), "[secret]") {
		t.Errorf("a token prints as %v", token)
	}
}

func TestEmulatorVendsTheRequestedToken(t *testing.T) {
	w := start(t)
	customer := w.customer(t, emulator.Customer{Type: "business"})
	owner := w.BeneficialOwner(customer.ID())
	grant := clienttoken.Grant{Action: clienttoken.ActionBeneficialOwnersUpdate, Customer: customer, BeneficialOwner: w.ownerURL(t, owner)}
	token, err := w.client.CreateClientToken(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	vended := w.ClientTokens()
	if len(vended) != 1 || vended[0].Token != token.Reveal() || vended[0].Action != "beneficialowners.update" ||
		vended[0].CustomerID != customer.ID() || vended[0].BeneficialOwnerID != owner {
		t.Errorf("vended %+v", vended)
	}
	if token.DwollaRequestID == "" {
		t.Error("no request id")
	}
}

func TestAnAnswerOfExactlyOneMebibyteIsRead(t *testing.T) {
	body := `{"token":"t"}`
	w := startWith(t, setup{api: answers(http.StatusOK, body+strings.Repeat(" ", 1<<20-len(body)))})
	if got := w.mustVend(t).Reveal(); got != "t" {
		t.Errorf("got %q", got)
	}
}
