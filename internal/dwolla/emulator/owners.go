package emulator

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// BeneficialOwner is a beneficial owner of a business Customer.
type BeneficialOwner struct {
	ID, CustomerID, FirstName, LastName string
	VerificationStatus                  string // verified, document or incomplete
	Address                             Address
	Created                             time.Time
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
	o, err := e.AddOwner(customerID, BeneficialOwner{})
	return o.ID, err
}

// AddOwner adds a beneficial owner to a Customer of any type and returns it as
// stored. Empty fields get defaults: a new ID, a made-up name and address, the
// status verified, and the present time. It sends no webhook.
func (e *Emulator) AddOwner(customerID string, o BeneficialOwner) (BeneficialOwner, error) {
	o.ID = strings.ToLower(orElse(o.ID, newUUID()))
	o.CustomerID = strings.ToLower(customerID)
	o.FirstName = orElse(o.FirstName, "Joe")
	o.LastName = orElse(o.LastName, "Owner")
	o.VerificationStatus = orElse(o.VerificationStatus, "verified")
	o.Address = cmp.Or(o.Address, Address{Address1: "2 Main Street", City: "Des Moines", State: "IA", PostalCode: "50309", Country: "US"})
	if o.Created.IsZero() {
		o.Created = e.options.Now()
	}
	if !isUUID(o.ID) || !slices.Contains(ownerStatuses(), o.VerificationStatus) {
		return BeneficialOwner{}, fmt.Errorf("emulator: beneficial owner id %q or status %q is invalid", o.ID, o.VerificationStatus)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[o.CustomerID]; !exists {
		return BeneficialOwner{}, fmt.Errorf("emulator: no Customer %q", o.CustomerID)
	}
	if _, taken := e.owners[o.ID]; taken {
		return BeneficialOwner{}, fmt.Errorf("emulator: beneficial owner id %s is taken", o.ID)
	}
	e.keepOwner(o)
	return o, nil
}

func ownerStatuses() []string { return []string{"verified", "document", "incomplete"} }

// keepOwner stores a new owner. The caller holds the lock.
func (e *Emulator) keepOwner(o BeneficialOwner) {
	e.owners[o.ID] = o
	e.ownersOf[o.CustomerID] = append(e.ownersOf[o.CustomerID], o.ID)
}

func (c call) ownerResource(o BeneficialOwner) ownerResource {
	return ownerResource{
		Links:              selfLinks{Self: link{Href: c.url(ownersPath + o.ID), Type: halJSON, ResourceType: "beneficial-owner"}},
		ID:                 o.ID,
		FirstName:          o.FirstName,
		LastName:           o.LastName,
		VerificationStatus: o.VerificationStatus,
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
	o := BeneficialOwner{
		ID: newUUID(), CustomerID: c.id, FirstName: form.FirstName, LastName: form.LastName,
		VerificationStatus: "verified", Created: e.options.Now(),
	}
	e.keepOwner(o)
	return created(c.url(ownersPath + o.ID))
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
