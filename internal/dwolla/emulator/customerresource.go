package emulator

import "net/http"

// customerResource is a Customer on the wire.
type customerResource struct {
	Links         links  `json:"_links"`
	ID            string `json:"id"`
	FirstName     string `json:"firstName"`
	LastName      string `json:"lastName"`
	Email         string `json:"email"`
	Type          string `json:"type"`
	Status        string `json:"status"`
	Created       string `json:"created"`
	CorrelationID string `json:"correlationId,omitempty"`
	Phone         string `json:"phone,omitempty"`

	Address1   string `json:"address1,omitempty"`
	Address2   string `json:"address2,omitempty"`
	City       string `json:"city,omitempty"`
	State      string `json:"state,omitempty"`
	PostalCode string `json:"postalCode,omitempty"`

	BusinessName           string              `json:"businessName,omitempty"`
	DoingBusinessAs        string              `json:"doingBusinessAs,omitempty"`
	BusinessType           string              `json:"businessType,omitempty"`
	BusinessClassification string              `json:"businessClassification,omitempty"`
	Website                string              `json:"website,omitempty"`
	Controller             *controllerResource `json:"controller,omitempty"`
}

type controllerResource struct {
	FirstName string      `json:"firstName"`
	LastName  string      `json:"lastName"`
	Title     string      `json:"title"`
	Address   addressForm `json:"address"`
}

func (c call) showCustomer(customer Customer) answer {
	r := customerResource{
		Links:     c.customerLinks(customer),
		ID:        customer.ID,
		FirstName: customer.FirstName, LastName: customer.LastName, Email: customer.Email,
		Type: customer.Type, Status: customer.Status, Created: wireTime(customer.Created),
		CorrelationID: customer.CorrelationID, Phone: customer.Phone,
		Address1: customer.Address.Address1, Address2: customer.Address.Address2,
		City: customer.Address.City, State: customer.Address.State, PostalCode: customer.Address.PostalCode,
		BusinessName: customer.BusinessName, DoingBusinessAs: customer.DoingBusinessAs, BusinessType: customer.BusinessType,
		BusinessClassification: customer.BusinessClassification, Website: customer.Website,
	}
	if customer.hasController() {
		r.Controller = &controllerResource{
			FirstName: customer.Controller.FirstName, LastName: customer.Controller.LastName, Title: customer.Controller.Title,
			Address: addressForm(customer.Controller.Address),
		}
	}
	return answer{status: http.StatusOK, body: r}
}

// customerLinks are the Customer's possible next steps.
func (c call) customerLinks(customer Customer) links {
	self := customersPath + customer.ID
	l := links{
		"self":            c.link(self, "customer"),
		"funding-sources": c.link(self+"/funding-sources", "funding-source"),
	}
	if customer.hasController() {
		l["beneficial-owners"] = c.link(self+"/beneficial-owners", "beneficial-owner")
		if customer.Certification != certified {
			l["certify-beneficial-ownership"] = c.link(self+"/beneficial-ownership", "beneficial-ownership")
		}
	}
	switch customer.Status {
	case "retry":
		l["retry-verification"] = c.link(self, "customer")
		if customer.Controller.FirstName == "retry" {
			l["retry-with-full-ssn"] = c.link(self, "customer")
		}
	case "document":
		l["document-form"] = c.documentForm(self)
		l[customer.documentRelation()] = c.link(self+"/documents", "document")
	}
	return l
}

// documentForm is the link to where documents are uploaded.
func (c call) documentForm(owner string) link {
	form := c.link(owner+"/documents", "document")
	form.Type = halJSON + `; profile="https://github.com/dwolla/hal-forms"`
	return form
}

// documentRelation names the subject of the documents.
func (c Customer) documentRelation() string {
	switch c.DocumentNeeded {
	case needsBusiness:
		return "verify-business-with-document"
	case needsBoth:
		return "verify-controller-and-business-with-document"
	default:
		return "verify-with-document"
	}
}
