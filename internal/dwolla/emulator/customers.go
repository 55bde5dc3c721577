package emulator

import (
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"
)

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
}

// AddCustomer adds a Customer and returns it as stored. Empty fields get defaults: a
// new ID, a made-up name and email, the type unverified, the usual status for the
// type, and the present time. A business also gets a made-up name, Controller and
// so on. The ID is lower-cased. A duplicate ID or CorrelationID, or an invalid
// value, is an error. It sends no webhook.
func (e *Emulator) AddCustomer(c Customer) (Customer, error) {
	c.ID = strings.ToLower(orElse(c.ID, newUUID()))
	c.FirstName = orElse(c.FirstName, "Jane")
	c.LastName = orElse(c.LastName, "Merchant")
	c.Email = orElse(c.Email, "jane@example.com")
	if c.Type == "business" {
		c = c.withBusinessDefaults()
	}
	if !isUUID(c.ID) {
		return Customer{}, fmt.Errorf("emulator: Customer id %q is not a UUID", c.ID)
	}
	if c.Status != "" && !slices.Contains(statuses(), c.Status) {
		return Customer{}, fmt.Errorf("emulator: unknown Customer status %q", c.Status)
	}
	if c.Created.IsZero() {
		c.Created = e.options.Now()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, taken := e.customers[c.ID]; taken {
		return Customer{}, fmt.Errorf("emulator: Customer id %s is taken", c.ID)
	}
	c, errs := e.keep(c)
	if errs != nil {
		return Customer{}, fmt.Errorf("emulator: %s (%s)", errs[0].Message, errs[0].Path)
	}
	return c, nil
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
	c.Status = status
	e.customers[id] = c
	return nil
}

func statuses() []string {
	return []string{"unverified", "retry", "kba", "document", "verified", "suspended", "deactivated"}
}

// initialStatus is the status of a new Customer. The emulator verifies no
// identities. Types that Dwolla would verify start as document, until
// [Emulator.SetCustomerStatus] changes them.
func initialStatus(customerType string) string {
	if customerType == "personal" || customerType == "business" {
		return "document"
	}
	return "unverified"
}

// keep fills in defaults, then checks and stores a new or changed Customer. The
// caller holds the lock.
func (e *Emulator) keep(c Customer) (Customer, []fieldError) {
	c.Type = orElse(c.Type, "unverified")
	c.Status = orElse(c.Status, initialStatus(c.Type))
	errs := c.check()
	if other, taken := e.correlationIDs[c.CorrelationID]; taken && other != c.ID {
		errs = append(errs, fieldError{Code: "Duplicate", Message: "CorrelationId already exists.", Path: "/correlationId"})
	}
	if errs != nil {
		return Customer{}, errs
	}
	e.customers[c.ID] = c
	if c.CorrelationID != "" {
		e.correlationIDs[c.CorrelationID] = c.ID
	}
	return c, nil
}

func (c Customer) check() []fieldError {
	errs := checkNames(c.FirstName, c.LastName)
	if c.Email == "" {
		errs = append(errs, fieldError{Code: "Required", Message: "Email required.", Path: "/email"})
	} else if address, err := mail.ParseAddress(c.Email); err != nil || address.Address != c.Email {
		errs = append(errs, fieldError{Code: "InvalidFormat", Message: "Email is invalid.", Path: "/email"})
	}
	if !slices.Contains([]string{"unverified", "receive-only", "personal", "business"}, c.Type) {
		errs = append(errs, fieldError{Code: "Invalid", Message: "Type is invalid.", Path: "/type"})
	}
	foreign := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._", r) }
	if len(c.CorrelationID) > 255 || strings.ContainsFunc(c.CorrelationID, foreign) {
		errs = append(errs, fieldError{Code: "InvalidFormat", Message: "CorrelationId is invalid.", Path: "/correlationId"})
	}
	return errs
}

func checkNames(first, last string) []fieldError {
	var errs []fieldError
	if first == "" {
		errs = append(errs, fieldError{Code: "Required", Message: "FirstName required.", Path: "/firstName"})
	}
	if last == "" {
		errs = append(errs, fieldError{Code: "Required", Message: "LastName required.", Path: "/lastName"})
	}
	return errs
}

// customerForm is the body of a request about a Customer. Other members (address,
// date of birth, SSN) are neither read nor stored.
type customerForm struct {
	FirstName     string `json:"firstName"`
	LastName      string `json:"lastName"`
	Email         string `json:"email"`
	Type          string `json:"type"`
	Status        string `json:"status"`
	CorrelationID string `json:"correlationId"`
}

// customerResource is a Customer on the wire.
type customerResource struct {
	Links         selfLinks `json:"_links"`
	ID            string    `json:"id"`
	FirstName     string    `json:"firstName"`
	LastName      string    `json:"lastName"`
	Email         string    `json:"email"`
	Type          string    `json:"type"`
	Status        string    `json:"status"`
	Created       string    `json:"created"`
	CorrelationID string    `json:"correlationId,omitempty"`
}

func (c call) showCustomer(customer Customer) answer {
	return answer{status: http.StatusOK, body: customerResource{
		Links:         selfLinks{Self: link{Href: c.url(customersPath + customer.ID), Type: halJSON, ResourceType: "customer"}},
		ID:            customer.ID,
		FirstName:     customer.FirstName,
		LastName:      customer.LastName,
		Email:         customer.Email,
		Type:          customer.Type,
		Status:        customer.Status,
		Created:       wireTime(customer.Created),
		CorrelationID: customer.CorrelationID,
	}}
}

func noCustomer() answer {
	return refuse(http.StatusNotFound, "The Customer was not found.")
}

func (e *Emulator) createCustomer(c call) answer {
	var form customerForm
	if !c.decode(&form) {
		return notJSON()
	}
	now := e.options.Now()
	return e.once(c, OpCreateCustomer, func() answer {
		customer, errs := e.keep(Customer{
			ID:        newUUID(),
			FirstName: form.FirstName, LastName: form.LastName, Email: form.Email,
			Type:          form.Type,
			CorrelationID: form.CorrelationID,
			Created:       now,
		})
		if errs != nil {
			return invalid(errs...)
		}
		e.sendEvent(topicCreated, customer.ID)
		return created(c.url(customersPath + customer.ID))
	})
}

func (e *Emulator) readCustomer(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	customer, exists := e.customers[c.id]
	if !exists {
		return noCustomer()
	}
	return c.showCustomer(customer)
}

// updateCustomer changes a Customer's name and email, or upgrades an unverified
// Customer. Absent or empty members change nothing.
func (e *Emulator) updateCustomer(c call) answer {
	var form customerForm
	if !c.decode(&form) {
		return notJSON()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	customer, exists := e.customers[c.id]
	if !exists {
		return noCustomer()
	}
	if errs := customer.checkFixed(form); errs != nil {
		return invalid(errs...)
	}
	if form.Type != "" && form.Type != customer.Type {
		customer.Type, customer.Status = form.Type, "" // as for a new Customer of the type
	}
	before := e.customers[c.id].Status
	customer.FirstName = orElse(form.FirstName, customer.FirstName)
	customer.LastName = orElse(form.LastName, customer.LastName)
	customer.Email = orElse(form.Email, customer.Email)
	customer, errs := e.keep(customer)
	if errs != nil {
		return invalid(errs...)
	}
	e.sendEvent(topicOf(before, customer.Status), customer.ID)
	return c.showCustomer(customer)
}

// checkFixed refuses changes to fixed members.
func (c Customer) checkFixed(form customerForm) []fieldError {
	var errs []fieldError
	if form.CorrelationID != "" && form.CorrelationID != c.CorrelationID {
		errs = append(errs, fieldError{Code: "ReadOnly", Message: "CorrelationId cannot be changed.", Path: "/correlationId"})
	}
	if form.Status != "" && form.Status != c.Status {
		errs = append(errs, fieldError{Code: "NotAllowed", Message: "Status cannot be changed.", Path: "/status"})
	}
	if form.Type != "" && form.Type != c.Type && c.Type != "unverified" {
		errs = append(errs, fieldError{Code: "NotAllowed", Message: "Only an unverified Customer can be upgraded.", Path: "/type"})
	}
	return errs
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
