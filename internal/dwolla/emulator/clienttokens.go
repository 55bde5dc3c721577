package emulator

import (
	"net/http"
	"strings"
	"time"
)

const (
	clientTokenLife     = time.Hour
	actionCreate        = "customer.create"
	actionTransfersSend = "customer.transfers.send"
	actionDeleteOwner   = "beneficialowners.delete"
)

// ClientToken is a vended client token.
type ClientToken struct {
	Token  string
	Action string
	// CustomerID is "" if the request named no Customer.
	CustomerID string
	// BeneficialOwnerID is "" if the request named no beneficial owner.
	BeneficialOwnerID string
	// Destination (the URL as sent), Amount and Blob are set only for a pay-in
	// (customer.transfers.send).
	Destination string
	Amount      Amount
	Blob        string
	Created     time.Time
	// Used means a call has consumed the token.
	Used bool
}

// Amount is a sum of money as Dwolla writes it.
type Amount struct {
	Currency string `json:"currency"`
	Value    string `json:"value"`
}

// ClientTokens returns the last 100 000 vended client tokens, oldest first.
func (e *Emulator) ClientTokens() []ClientToken {
	e.mu.Lock()
	defer e.mu.Unlock()
	keys := e.clientTokens.oldestFirst()
	tokens := make([]ClientToken, len(keys))
	for i, key := range keys {
		tokens[i] = *e.clientTokens.values[key]
	}
	return tokens
}

// allows reports whether the token is valid for the endpoint and the id in the path.
func (t *ClientToken) allows(endpoint endpoint, c call) bool {
	action := t.Action
	if action == "beneficialowner.delete" {
		action = actionDeleteOwner
	}
	if required := endpoint.requiredAction(c); required == "" || action != required {
		return false
	}
	if t.CustomerID == "" && t.BeneficialOwnerID != "" {
		return endpoint.owner && t.BeneficialOwnerID == c.id
	}
	if endpoint.customer != nil && endpoint.customer(c.id) != t.CustomerID {
		return false
	}
	return !endpoint.owner || t.BeneficialOwnerID == "" || t.BeneficialOwnerID == c.id
}

type clientTokenRequest struct {
	Action string `json:"action"`
	Links  struct {
		Customer        link `json:"customer"`
		BeneficialOwner link `json:"beneficial-owner"`
		Destination     link `json:"destination"`
	} `json:"_links"`
	Amount Amount `json:"amount"`
}

// vended is the answer of POST /client-tokens.
type vended struct {
	Token string `json:"token"`
	Blob  string `json:"blob,omitempty"`
}

func (e *Emulator) createClientToken(c call) answer {
	var request clientTokenRequest
	if !c.decode(&request) {
		return notJSON()
	}
	if request.Action == "" {
		return invalid(fieldError{Code: "Required", Message: "Action required.", Path: "/action"})
	}
	if !knownAction(request.Action) {
		return invalid(fieldError{Code: "Invalid", Message: "Invalid action.", Path: "/action"})
	}
	if request.Action == actionTransfersSend {
		if errs := c.checkPayIn(request); errs != nil {
			return invalid(errs...)
		}
	}
	now := e.options.Now()
	return e.once(c, OpCreateClientToken, func() answer {
		token := ClientToken{Token: newSecret(), Action: request.Action, Created: now}
		if errs := e.link(&token, c, request); errs != nil {
			return invalid(errs...)
		}
		if request.Action == actionTransfersSend {
			token.Destination, token.Amount, token.Blob = request.Links.Destination.Href, request.Amount, newSecret()
		}
		e.clientTokens.put(token.Token, &token)
		return answer{status: http.StatusOK, body: vended{Token: token.Token, Blob: token.Blob}}
	})
}

// link checks and sets the Customer and the beneficial owner of the token. The
// caller holds the lock.
func (e *Emulator) link(token *ClientToken, c call, request clientTokenRequest) []fieldError {
	const customerPath, ownerPath = "/_links/customer/href", "/_links/beneficial-owner/href"
	if href := request.Links.Customer.Href; href != "" {
		id, ok := c.linked(href, customersPath)
		if _, exists := e.customers[id]; !ok || !exists {
			return []fieldError{{Code: "Invalid", Message: "Customer invalid.", Path: customerPath}}
		}
		token.CustomerID = id
	} else if needsCustomer(token.Action) && request.Links.BeneficialOwner.Href == "" {
		return []fieldError{{Code: "Required", Message: "Customer required.", Path: customerPath}}
	}
	if href := request.Links.BeneficialOwner.Href; href != "" {
		id, ok := c.linked(href, ownersPath)
		o, exists := e.owners[id]
		if !ok || !exists || token.CustomerID != "" && o.CustomerID != token.CustomerID {
			return []fieldError{{Code: "Invalid", Message: "Beneficial owner invalid.", Path: ownerPath}}
		}
		token.BeneficialOwnerID = id
	}
	return nil
}

// checkPayIn checks the format of a pay-in's members. The emulator has no funding
// sources of the application, so it accepts any well-formed destination.
func (c call) checkPayIn(request clientTokenRequest) []fieldError {
	var errs []fieldError
	destination := request.Links.Destination.Href
	if id, ok := c.linked(destination, "/funding-sources/"); destination == "" {
		errs = append(errs, fieldError{Code: "Required", Message: "Destination required.", Path: "/_links/destination/href"})
	} else if !ok || !isUUID(id) {
		errs = append(errs, fieldError{Code: "Invalid", Message: "Destination invalid.", Path: "/_links/destination/href"})
	}
	switch amount := request.Amount; {
	case amount == Amount{}:
		errs = append(errs, fieldError{Code: "Required", Message: "Amount required.", Path: "/amount"})
	case amount.Currency != "USD":
		errs = append(errs, fieldError{Code: "Invalid", Message: "Currency must be USD.", Path: "/amount/currency"})
	case !isMoney(amount.Value):
		errs = append(errs, fieldError{Code: "InvalidFormat", Message: "Value must be dollars and cents.", Path: "/amount/value"})
	}
	return errs
}

// isMoney reports whether s is a positive amount with at most two decimals.
func isMoney(s string) bool {
	dollars, cents, point := strings.Cut(s, ".")
	notDigit := func(r rune) bool { return r < '0' || r > '9' }
	return dollars != "" && len(dollars) <= 12 && len(cents) <= 2 && point == (cents != "") &&
		!strings.ContainsFunc(dollars+cents, notDigit) && strings.Trim(dollars+cents, "0") != ""
}

// needsCustomer reports whether the action needs an existing Customer.
func needsCustomer(action string) bool {
	return action != actionCreate && action != "businessclassifications.read"
}

// knownAction reports whether Dwolla documents the action for drop-in components.
// Dwolla spells the deletion of an owner in two ways; both are accepted.
func knownAction(action string) bool {
	switch action {
	case actionCreate, "customer.read", "customer.update",
		"customer.documents.create", "customer.documents.read",
		"customer.fundingsources.create", "customer.fundingsources.read",
		"customer.microdeposits.create", "customer.microdeposits.verify",
		actionTransfersSend,
		"beneficialowners.create", "beneficialowners.read", "beneficialowners.update",
		actionDeleteOwner, "beneficialowner.delete",
		"beneficialowner.documents.create",
		"beneficialownership.read", "beneficialownership.certify",
		"businessclassifications.read":
		return true
	default:
		return false
	}
}
