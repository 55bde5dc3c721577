package emulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxOwners is Dwolla's bound for a Customer: each one owns a quarter at least.
const maxOwners = 4

// BeneficialOwner is a beneficial owner of a business Customer.
type BeneficialOwner struct {
	ID, CustomerID, FirstName, LastName string
	VerificationStatus                  string // verified, document or incomplete
	Address                             Address
	Created                             time.Time
}

// AddBeneficialOwner adds an owner with a made-up name to a Customer of any type,
// and returns the owner's id.
func (e *Emulator) AddBeneficialOwner(customerID string) (string, error) {
	o, err := e.AddOwner(customerID, BeneficialOwner{})
	return o.ID, err
}

// AddOwner adds a beneficial owner to a Customer of any type and returns it as
// stored. Empty fields get defaults: a new ID, a made-up name and address, the status
// that Dwolla's sandbox gives the name, and the present time. It sends no webhook.
func (e *Emulator) AddOwner(customerID string, o BeneficialOwner) (BeneficialOwner, error) {
	o.ID = strings.ToLower(orElse(o.ID, newUUID()))
	o.CustomerID = strings.ToLower(customerID)
	o.FirstName = orElse(o.FirstName, "Joe")
	o.LastName = orElse(o.LastName, "Owner")
	o.VerificationStatus = orElse(o.VerificationStatus, verifyOwner(o.FirstName))
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

// SetOwnerStatus changes the verification status of a beneficial owner, like a review
// at Dwolla, and sends the webhook. Setting the present status does nothing.
func (e *Emulator) SetOwnerStatus(id, status string) error {
	if !slices.Contains(ownerStatuses(), status) {
		return fmt.Errorf("emulator: unknown status %q of a beneficial owner", status)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	o, exists := e.owners[strings.ToLower(id)]
	if !exists {
		return fmt.Errorf("emulator: no beneficial owner %q", id)
	}
	e.setOwnerStatus(o, status)
	return nil
}

// setOwnerStatus stores an owner with a status, and sends the webhook for a change.
// The caller holds the lock, here and below.
func (e *Emulator) setOwnerStatus(o BeneficialOwner, status string) {
	if o.VerificationStatus != status {
		e.sendEventAbout(ownerTopic(status), o.CustomerID, ownersPath+o.ID)
	}
	o.VerificationStatus = status
	e.owners[o.ID] = o
}

func ownerStatuses() []string { return []string{"verified", "document", "incomplete"} }

// keepOwner stores a new owner.
func (e *Emulator) keepOwner(o BeneficialOwner) {
	e.owners[o.ID] = o
	e.ownersOf[o.CustomerID] = append(e.ownersOf[o.CustomerID], o.ID)
}

// forgetOwner removes an owner and its documents.
func (e *Emulator) forgetOwner(o BeneficialOwner) {
	for _, id := range e.documentsOf[o.ID] {
		delete(e.documents, id)
	}
	delete(e.documentsOf, o.ID)
	delete(e.owners, o.ID)
	e.ownersOf[o.CustomerID] = slices.DeleteFunc(e.ownersOf[o.CustomerID], func(id string) bool { return id == o.ID })
}
