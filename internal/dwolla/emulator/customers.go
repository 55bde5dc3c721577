package emulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxCustomers bounds the Customers created through the API.
const maxCustomers = 100_000

// Customer is a Dwolla Customer.
type Customer struct {
	ID, FirstName, LastName, Email string
	Type                           string // unverified, receive-only, personal or business
	Status                         string // unverified, retry, kba, document, verified, suspended or deactivated
	CorrelationID                  string // "": none
	Created                        time.Time
	Phone                          string
	Address                        Address // of a personal or business Customer

	// The rest is for a business Customer.

	BusinessName           string
	DoingBusinessAs        string
	BusinessType           string // llc, corporation, partnership or soleProprietorship
	BusinessClassification string // id of an industry classification
	Website                string
	Controller             Controller
	Certification          string // of the beneficial ownership: uncertified, recertify or certified
	// DocumentNeeded is what a business in status document must prove: controller,
	// business or controller-and-business.
	DocumentNeeded string
}

// AddCustomer adds a Customer and returns it as stored. Empty fields get defaults: a
// new ID, a made-up name, email and address, the type unverified, the status that
// Dwolla's sandbox gives the type and name, and the present time. A business also
// gets a made-up name, Controller and so on. The ID is lower-cased. A duplicate ID or
// CorrelationID, or an invalid value, is an error. It sends no webhook.
func (e *Emulator) AddCustomer(c Customer) (Customer, error) {
	c = c.withDefaults()
	if c.Created.IsZero() {
		c.Created = e.options.Now()
	}
	if !isUUID(c.ID) {
		return Customer{}, fmt.Errorf("emulator: Customer id %q is not a UUID", c.ID)
	}
	if !slices.Contains(statuses(), c.Status) {
		return Customer{}, fmt.Errorf("emulator: unknown Customer status %q", c.Status)
	}
	k := checks{now: c.Created}
	c.check(&k)
	if k.errs != nil {
		return Customer{}, asError(k.errs)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, taken := e.customers[c.ID]; taken {
		return Customer{}, fmt.Errorf("emulator: Customer id %s is taken", c.ID)
	}
	if errs := e.keep(c); errs != nil {
		return Customer{}, asError(errs)
	}
	return c, nil
}

func asError(errs []fieldError) error {
	return fmt.Errorf("emulator: %s (%s)", errs[0].Message, errs[0].Path)
}

func (c Customer) withDefaults() Customer {
	c.ID = strings.ToLower(orElse(c.ID, newUUID()))
	c.FirstName = orElse(c.FirstName, "Jane")
	c.LastName = orElse(c.LastName, "Merchant")
	c.Email = orElse(c.Email, "jane@example.com")
	c.Type = orElse(c.Type, "unverified")
	if c.verifiable() {
		c.Address = cmp.Or(c.Address, Address{Address1: "99-99 33rd St", City: "Some City", State: "NY", PostalCode: "11101"})
	}
	if c.Type == "business" {
		c = c.withBusinessDefaults()
	}
	if c.Status == "" {
		c = c.initially()
	}
	return c.inStatus(c.Status)
}

// initially is the Customer with the status that Dwolla's sandbox gives it.
func (c Customer) initially() Customer {
	if c.verifiable() {
		return c.verify()
	}
	c.Status = "unverified"
	return c
}

// inStatus is the Customer in the status. In status document a business needs to
// prove its Controller if nothing else is said.
func (c Customer) inStatus(status string) Customer {
	c.Status = status
	switch {
	case status != "document":
		c.DocumentNeeded = ""
	case c.hasController() && c.DocumentNeeded == "":
		c.DocumentNeeded = needsController
	}
	return c
}

// SetCustomerStatus changes a Customer's status, like a review at Dwolla, and sends
// the webhook. Setting the present status does nothing.
func (e *Emulator) SetCustomerStatus(id, status string) error {
	if !slices.Contains(statuses(), status) {
		return fmt.Errorf("emulator: unknown Customer status %q", status)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	id = strings.ToLower(id)
	c, exists := e.customers[id]
	if !exists {
		return fmt.Errorf("emulator: no Customer %q", id)
	}
	e.sendEvent(topicOf(c.Status, status), id)
	e.customers[id] = c.inStatus(status)
	return nil
}

func statuses() []string {
	return []string{"unverified", "retry", "kba", "document", "verified", "suspended", "deactivated"}
}

// active reports whether the Customer may change anything.
func (c Customer) active() bool { return c.Status != "suspended" && c.Status != "deactivated" }

// keep stores a new or changed Customer unless its correlationId is another's. The
// caller holds the lock.
func (e *Emulator) keep(c Customer) []fieldError {
	if other, taken := e.correlationIDs[c.CorrelationID]; taken && other != c.ID {
		return []fieldError{{Code: "Duplicate", Message: "CorrelationId already exists.", Path: "/correlationId"}}
	}
	e.customers[c.ID] = c
	if c.CorrelationID != "" {
		e.correlationIDs[c.CorrelationID] = c.ID
	}
	return nil
}

// check checks the members of all types.
func (c Customer) check(k *checks) {
	k.valid("/firstName", c.FirstName, isName)
	k.valid("/lastName", c.LastName, isName)
	k.email(c.Email)
	if !slices.Contains([]string{"unverified", "receive-only", "personal", "business"}, c.Type) {
		k.add("Invalid", "/type", "Type is invalid.")
	}
	k.optional("/businessName", c.BusinessName, isBusinessName)
	foreign := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._", r) }
	if len(c.CorrelationID) > 255 || strings.ContainsFunc(c.CorrelationID, foreign) {
		k.add("InvalidFormat", "/correlationId", "CorrelationId is invalid.")
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
