package emulator

import (
	"net/http"
	"slices"
	"strings"
)

// The collections, and some paths that appear in links.
const (
	tokenPath           = "/token"
	customersPath       = "/customers/"
	ownersPath          = "/beneficial-owners/"
	fundingSourcesPath  = "/funding-sources/"
	documentsPath       = "/documents/"
	classificationsPath = "/business-classifications"
)

// Bounds of a request's body.
const (
	maxBody     = 1 << 20
	maxDocument = 10 << 20 // with the rest of its form
)

// endpoint serves one method of one path.
type endpoint struct {
	op    Operation
	serve func(call) answer
	// action is required of a client token. If empty, no client token is
	// accepted.
	action string
	// actionOf replaces action if the body decides which one is required.
	actionOf func(call) string
	// customer returns the Customer id required of a client token, given the
	// {id} of the path. nil accepts any. It is called with the lock held.
	customer func(id string) string
	// owner means that {id} is a beneficial owner.
	owner bool
	// form means that the body is multipart/form-data, up to maxDocument.
	form bool
}

func (p endpoint) maxBody() int64 {
	if p.form {
		return maxDocument
	}
	return maxBody
}

// requiredAction is the client token's action for the call.
func (p endpoint) requiredAction(c call) string {
	if p.actionOf != nil {
		return p.actionOf(c)
	}
	return p.action
}

// call is one request to an endpoint, its body already read.
type call struct {
	request *http.Request
	root    string // of the links in the answer
	id      string // the {id} of the path, in lower case
	body    []byte
}

// methods are the endpoints of one path by HTTP method.
type methods map[string]endpoint

func (m methods) String() string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (e *Emulator) table() map[string]methods {
	table := map[string]methods{
		tokenPath:        {http.MethodPost: {op: OpToken, serve: e.token}},
		"/client-tokens": {http.MethodPost: {op: OpCreateClientToken, serve: e.createClientToken}},
		classificationsPath: {
			http.MethodGet: {op: OpListBusinessClassifications, serve: e.listClassifications, action: "businessclassifications.read"},
		},
		classificationsPath + "/{id}": {
			http.MethodGet: {op: OpReadBusinessClassification, serve: e.readClassification, action: "businessclassifications.read"},
		},
		"/documents/{id}": {http.MethodGet: {op: OpReadDocument, serve: e.readDocument}},
	}
	e.addCustomerRoutes(table)
	e.addOwnerRoutes(table)
	e.addFundingSourceRoutes(table)
	return table
}

func (e *Emulator) addCustomerRoutes(table map[string]methods) {
	id := func(id string) string { return id }
	table["/customers"] = methods{
		http.MethodPost: {op: OpCreateCustomer, serve: e.createCustomer, action: actionCreate},
	}
	table["/customers/{id}"] = methods{
		http.MethodGet:  {op: OpReadCustomer, serve: e.readCustomer, action: "customer.read", customer: id},
		http.MethodPost: {op: OpUpdateCustomer, serve: e.updateCustomer, action: "customer.update", customer: id},
	}
	table["/customers/{id}/beneficial-owners"] = methods{
		http.MethodGet:  {op: OpListBeneficialOwners, serve: e.listOwners, action: "beneficialowners.read", customer: id},
		http.MethodPost: {op: OpCreateBeneficialOwner, serve: e.createOwner, action: "beneficialowners.create", customer: id},
	}
	table["/customers/{id}/beneficial-ownership"] = methods{
		http.MethodGet:  {op: OpReadBeneficialOwnership, serve: e.readOwnership, action: "beneficialownership.read", customer: id},
		http.MethodPost: {op: OpCertifyBeneficialOwnership, serve: e.certifyOwnership, action: "beneficialownership.certify", customer: id},
	}
	table["/customers/{id}/documents"] = methods{
		http.MethodGet:  {op: OpListCustomerDocuments, serve: e.listCustomerDocuments, action: "customer.documents.read", customer: id},
		http.MethodPost: {op: OpCreateCustomerDocument, serve: e.createCustomerDocument, action: "customer.documents.create", customer: id, form: true},
	}
	table["/customers/{id}/funding-sources"] = methods{
		http.MethodGet:  {op: OpListFundingSources, serve: e.listFundingSources, action: "customer.fundingsources.read", customer: id},
		http.MethodPost: {op: OpCreateFundingSource, serve: e.createFundingSource, action: "customer.fundingsources.create", customer: id},
	}
}

func (e *Emulator) addOwnerRoutes(table map[string]methods) {
	customer := func(id string) string { return e.owners[id].CustomerID }
	table["/beneficial-owners/{id}"] = methods{
		http.MethodGet:    {op: OpReadBeneficialOwner, serve: e.readOwner, action: "beneficialowners.read", customer: customer, owner: true},
		http.MethodPost:   {op: OpUpdateBeneficialOwner, serve: e.updateOwner, action: "beneficialowners.update", customer: customer, owner: true},
		http.MethodDelete: {op: OpDeleteBeneficialOwner, serve: e.deleteOwner, action: actionDeleteOwner, customer: customer, owner: true},
	}
	table["/beneficial-owners/{id}/documents"] = methods{
		http.MethodGet: {op: OpListOwnerDocuments, serve: e.listOwnerDocuments},
		http.MethodPost: {
			op: OpCreateOwnerDocument, serve: e.createOwnerDocument,
			action: "beneficialowner.documents.create", customer: customer, owner: true, form: true,
		},
	}
}

func (e *Emulator) addFundingSourceRoutes(table map[string]methods) {
	customer := func(id string) string { return e.fundingSources[id].CustomerID }
	table["/funding-sources/{id}"] = methods{
		http.MethodGet:  {op: OpReadFundingSource, serve: e.readFundingSource, action: "customer.fundingsources.read", customer: customer},
		http.MethodPost: {op: OpUpdateFundingSource, serve: e.updateFundingSource},
	}
	table["/funding-sources/{id}/balance"] = methods{
		http.MethodGet: {op: OpReadBalance, serve: e.readBalance, action: "customer.fundingsources.read", customer: customer},
	}
	table["/funding-sources/{id}/micro-deposits"] = methods{
		http.MethodGet:  {op: OpReadMicroDeposits, serve: e.readMicroDeposits},
		http.MethodPost: {op: OpMicroDeposits, serve: e.postMicroDeposits, actionOf: microDepositsAction, customer: customer},
	}
}

// pattern splits a path into the key of the route table and the {id} in it. Every
// second segment of Dwolla's paths is an id.
func pattern(path string) (string, string) {
	first := strings.IndexByte(path[min(1, len(path)):], '/') + 1
	if first == 0 {
		return path, ""
	}
	collection, rest := path[:first+1], path[first+1:]
	id, sub, nested := strings.Cut(rest, "/")
	switch {
	case id == "":
		return path, ""
	case nested:
		return collection + "{id}/" + sub, strings.ToLower(id)
	default:
		return collection + "{id}", strings.ToLower(id)
	}
}
