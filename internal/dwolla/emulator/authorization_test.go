package emulator_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// tokenCall is a call permitted by a client token of the action.
type tokenCall struct {
	op     emulator.Operation
	action string
	method string
	path   func(*world) string
	body   members
}

// world has something for every call.
type world struct {
	*dwolla

	customer, other, owner, otherOwner string
	bank, waiting, balance             string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dwolla: start(t)}
	w.customer = w.dwolla.customer(emulator.Customer{Type: "business", Status: "document"}).ID
	w.other = w.dwolla.customer(emulator.Customer{Type: "business", Status: "document"}).ID
	for _, id := range []*string{&w.owner, &w.otherOwner} {
		added, err := w.AddOwner(w.customer, emulator.BeneficialOwner{FirstName: "incomplete"})
		if err != nil {
			t.Fatal(err)
		}
		*id = added.ID
	}
	w.bank = w.source(w.customer, emulator.FundingSource{Status: "unverified"}).ID
	w.waiting = w.source(w.customer, emulator.FundingSource{Status: "unverified"}).ID
	if err := w.StartMicroDeposits(w.waiting); err != nil {
		t.Fatal(err)
	}
	w.balance = w.source(w.customer, emulator.FundingSource{Type: "balance"}).ID
	return w
}

func tokenCalls() []tokenCall {
	at := func(path string) func(*world) string { return func(*world) string { return path } }
	customer := func(sub string) func(*world) string {
		return func(w *world) string { return "/customers/" + w.customer + sub }
	}
	ownerAt := func(w *world) string { return "/beneficial-owners/" + w.owner }
	verify := members{"amount1": members{"value": "0.01", "currency": "USD"}, "amount2": members{"value": "0.02", "currency": "USD"}}
	return []tokenCall{
		{emulator.OpCreateCustomer, "customer.create", "POST", at("/customers"), unverified()},
		{emulator.OpReadCustomer, "customer.read", "GET", customer(""), nil},
		{emulator.OpUpdateCustomer, "customer.update", "POST", customer(""), members{"email": "eve@example.com"}},
		{emulator.OpListBeneficialOwners, "beneficialowners.read", "GET", customer("/beneficial-owners"), nil},
		{emulator.OpCreateBeneficialOwner, "beneficialowners.create", "POST", customer("/beneficial-owners"), owner("Joe")},
		{emulator.OpReadBeneficialOwner, "beneficialowners.read", "GET", ownerAt, nil},
		{emulator.OpUpdateBeneficialOwner, "beneficialowners.update", "POST", ownerAt, owner("Joe")},
		{emulator.OpDeleteBeneficialOwner, "beneficialowners.delete", "DELETE", ownerAt, nil},
		{emulator.OpDeleteBeneficialOwner, "beneficialowner.delete", "DELETE", ownerAt, nil},
		{emulator.OpReadBeneficialOwnership, "beneficialownership.read", "GET", customer("/beneficial-ownership"), nil},
		{emulator.OpCertifyBeneficialOwnership, "beneficialownership.certify", "POST", customer("/beneficial-ownership"), members{"status": "certified"}},
		{emulator.OpListCustomerDocuments, "customer.documents.read", "GET", customer("/documents"), nil},
		{emulator.OpCreateCustomerDocument, "customer.documents.create", "POST", customer("/documents"), nil},
		{emulator.OpCreateOwnerDocument, "beneficialowner.documents.create", "POST", func(w *world) string { return ownerAt(w) + "/documents" }, nil},
		{emulator.OpListFundingSources, "customer.fundingsources.read", "GET", customer("/funding-sources"), nil},
		{emulator.OpCreateFundingSource, "customer.fundingsources.create", "POST", customer("/funding-sources"), bank()},
		{emulator.OpReadFundingSource, "customer.fundingsources.read", "GET", func(w *world) string { return "/funding-sources/" + w.bank }, nil},
		{emulator.OpReadBalance, "customer.fundingsources.read", "GET", func(w *world) string { return "/funding-sources/" + w.balance + "/balance" }, nil},
		{emulator.OpMicroDeposits, "customer.microdeposits.create", "POST", func(w *world) string { return "/funding-sources/" + w.bank + "/micro-deposits" }, members{}},
		{emulator.OpMicroDeposits, "customer.microdeposits.verify", "POST", func(w *world) string { return "/funding-sources/" + w.waiting + "/micro-deposits" }, verify},
		{emulator.OpListBusinessClassifications, "businessclassifications.read", "GET", at("/business-classifications"), nil},
		{emulator.OpReadBusinessClassification, "businessclassifications.read", "GET", at("/business-classifications/9ed3f669-7d6f-11e3-b545-5404a6144203"), nil},
	}
}

// make makes the call with a token.
func (c tokenCall) make(w *world, token string) reply {
	w.t.Helper()
	path := c.path(w)
	switch {
	case c.method == http.MethodPost && c.body == nil:
		return w.send(w.documentRequest(token, path, passport()))
	case c.method == http.MethodPost:
		return w.call(token, c.method, path, c.body.String())
	default:
		return w.call(token, c.method, path, "")
	}
}

func (c tokenCall) names(w *world, part string) bool { return strings.HasPrefix(c.path(w), part) }

// vendFor is a new client token that names a Customer and an owner, or one of them.
func (w *world) vendFor(action, customer, owner string) string {
	w.t.Helper()
	links := members{}
	if customer != "" {
		links["customer"] = members{"href": w.url + "/customers/" + customer}
	}
	if owner != "" {
		links["beneficial-owner"] = members{"href": w.url + "/beneficial-owners/" + owner}
	}
	var answer struct{ Token string }
	w.app(http.MethodPost, "/client-tokens", members{"action": action, "_links": links}.String()).decode(w.t, http.StatusOK, &answer)
	return answer.Token
}

func TestEveryClientTokenOperationIsListed(t *testing.T) {
	listed := map[emulator.Operation]bool{}
	for _, c := range tokenCalls() {
		listed[c.op] = true
	}
	for op, open := range emulator.New(emulator.Options{}).Operations() {
		if listed[op] != open {
			t.Errorf("%s: listed %t, open to client tokens %t", op, listed[op], open)
		}
	}
}

func TestAClientTokenWorksOnceForItsCall(t *testing.T) {
	for _, c := range tokenCalls() {
		t.Run(string(c.op)+" "+c.action, func(t *testing.T) {
			w := newWorld(t)
			if strings.HasSuffix(c.path(w), "/documents") && c.names(w, "/beneficial-owners/") {
				if err := w.SetOwnerStatus(w.owner, "document"); err != nil {
					t.Fatal(err)
				}
			}
			token := w.vendFor(c.action, w.customer, "")
			if got := c.make(w, token); got.status >= 300 {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			c.make(w, token).wantProblem(t, http.StatusUnauthorized, "InvalidAccessToken")
		})
	}
}

func TestAnotherActionsTokenIsRefused(t *testing.T) {
	spellings := []string{"beneficialowners.delete", "beneficialowner.delete"}
	w := newWorld(t)
	var actions []string
	for _, c := range tokenCalls() {
		actions = append(actions, c.action)
	}
	slices.Sort(actions)
	for _, action := range slices.Compact(actions) {
		token := w.vendFor(action, w.customer, "")
		for _, c := range tokenCalls() {
			if c.action == action || slices.Contains(spellings, c.action) && slices.Contains(spellings, action) {
				continue
			}
			if got := c.make(w, token); got.status != http.StatusForbidden || !strings.Contains(string(got.body), "client token") {
				t.Errorf("%s with %s: status %d: %s", c.op, action, got.status, got.body)
			}
		}
	}
}

func TestAnotherCustomersTokenIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range tokenCalls() {
		if c.names(w, "/business-classifications") || c.op == emulator.OpCreateCustomer {
			continue // belong to no Customer
		}
		t.Run(string(c.op)+" "+c.action, func(t *testing.T) {
			c.make(w, w.vendFor(c.action, w.other, "")).wantProblem(t, http.StatusForbidden, "Forbidden")
			if c.names(w, "/customers/") || c.names(w, "/funding-sources/") {
				c.make(w, w.vendFor(c.action, "", w.owner)).wantProblem(t, http.StatusForbidden, "Forbidden")
				return
			}
			c.make(w, w.vendFor(c.action, w.customer, w.otherOwner)).wantProblem(t, http.StatusForbidden, "Forbidden")
			c.make(w, w.vendFor(c.action, "", w.otherOwner)).wantProblem(t, http.StatusForbidden, "Forbidden")
		})
	}
}

func TestAnOldClientTokenIsRefused(t *testing.T) {
	w := newWorld(t)
	tokens := map[string]string{}
	for _, c := range tokenCalls() {
		tokens[string(c.op)+c.action] = w.vendFor(c.action, w.customer, "")
	}
	w.clock.advance(time.Hour)
	for _, c := range tokenCalls() {
		t.Run(string(c.op)+" "+c.action, func(t *testing.T) {
			c.make(w, tokens[string(c.op)+c.action]).wantProblem(t, http.StatusUnauthorized, "ExpiredAccessToken")
		})
	}
}

func TestTheApplicationsCallsRefuseClientTokens(t *testing.T) {
	w := newWorld(t)
	token := w.vendFor("customer.fundingsources.read", w.customer, "")
	for path, method := range map[string]string{
		"/client-tokens":                                 http.MethodPost,
		"/funding-sources/" + w.bank:                     http.MethodPost,
		"/funding-sources/" + w.bank + "/micro-deposits": http.MethodGet,
		"/beneficial-owners/" + w.owner + "/documents":   http.MethodGet,
		"/documents/" + unknown:                          http.MethodGet,
	} {
		w.call(token, method, path, `{"action":"customer.create"}`).wantProblem(t, http.StatusForbidden, "Forbidden")
	}
}
