package emulator

import (
	"fmt"
	"net/http"
	"strings"
)

// owner is a beneficial owner. Responses do not name its Customer.
type owner struct {
	id, customerID, firstName, lastName string
}

// ownerResource is a beneficial owner on the wire.
type ownerResource struct {
	Links              selfLinks `json:"_links"`
	ID                 string    `json:"id"`
	FirstName          string    `json:"firstName"`
	LastName           string    `json:"lastName"`
	VerificationStatus string    `json:"verificationStatus"`
}

// ownerList is the answer of GET /customers/{id}/beneficial-owners.
type ownerList struct {
	Links    selfLinks `json:"_links"`
	Embedded struct {
		Owners []ownerResource `json:"beneficial-owners"`
	} `json:"_embedded"`
	Total int `json:"total"`
}

// AddBeneficialOwner adds an owner with a made-up name to a Customer of any type,
// and returns the owner's id.
func (e *Emulator) AddBeneficialOwner(customerID string) (string, error) {
	o := owner{id: newUUID(), customerID: strings.ToLower(customerID), firstName: "Joe", lastName: "Owner"}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[o.customerID]; !exists {
		return "", fmt.Errorf("emulator: no Customer %q", o.customerID)
	}
	e.keepOwner(o)
	return o.id, nil
}

// keepOwner stores a new owner. The caller holds the lock.
func (e *Emulator) keepOwner(o owner) {
	e.owners[o.id] = o
	e.ownersOf[o.customerID] = append(e.ownersOf[o.customerID], o.id)
}

func (c call) ownerResource(o owner) ownerResource {
	return ownerResource{
		Links:              selfLinks{Self: link{Href: c.url(ownersPath + o.id), Type: halJSON, ResourceType: "beneficial-owner"}},
		ID:                 o.id,
		FirstName:          o.firstName,
		LastName:           o.lastName,
		VerificationStatus: "incomplete",
	}
}

func (e *Emulator) listOwners(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[c.id]; !exists {
		return noCustomer()
	}
	ids := e.ownersOf[c.id]
	list := ownerList{
		Links: selfLinks{Self: link{Href: c.url(customersPath + c.id + "/beneficial-owners"), Type: halJSON, ResourceType: "beneficial-owner"}},
		Total: len(ids),
	}
	list.Embedded.Owners = make([]ownerResource, 0, len(ids))
	for _, id := range ids {
		list.Embedded.Owners = append(list.Embedded.Owners, c.ownerResource(e.owners[id]))
	}
	return answer{status: http.StatusOK, body: list}
}

func (e *Emulator) createOwner(c call) answer {
	var form struct {
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
	}
	if !c.decode(&form) {
		return notJSON()
	}
	if errs := checkNames(form.FirstName, form.LastName); errs != nil {
		return invalid(errs...)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[c.id]; !exists {
		return noCustomer()
	}
	o := owner{id: newUUID(), customerID: c.id, firstName: form.FirstName, lastName: form.LastName}
	e.keepOwner(o)
	return created(c.url(ownersPath + o.id))
}

func (e *Emulator) readOwner(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, exists := e.owners[c.id]
	if !exists {
		return refuse(http.StatusNotFound, "The beneficial owner was not found.")
	}
	return answer{status: http.StatusOK, body: c.ownerResource(o)}
}
