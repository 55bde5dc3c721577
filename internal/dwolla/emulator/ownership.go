package emulator

import "net/http"

const certified = "certified"

type ownershipResource struct {
	Links  selfLinks `json:"_links"`
	Status string    `json:"status"`
}

func (c call) ownershipResource(customer Customer) answer {
	return answer{status: http.StatusOK, body: ownershipResource{
		Links:  selfLinks{Self: c.link(customersPath+customer.ID+"/beneficial-ownership", "beneficial-ownership")},
		Status: customer.Certification,
	}}
}

func (e *Emulator) readOwnership(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	customer, exists := e.customers[c.id]
	switch {
	case !exists:
		return noCustomer()
	case !customer.hasController():
		return refuse(http.StatusForbidden, "The Customer has no beneficial owners.")
	}
	return c.ownershipResource(customer)
}

// certifyOwnership records that the owners are right and complete. It does not need
// them to be verified.
func (e *Emulator) certifyOwnership(c call) answer {
	var form struct {
		Status string `json:"status"`
	}
	if !c.decode(&form) {
		return notJSON()
	}
	var k checks
	k.valid("/status", form.Status, func(s string) bool { return s == certified })
	if k.errs != nil {
		return invalid(k.errs...)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	customer, exists := e.customers[c.id]
	switch {
	case !exists:
		return noCustomer()
	case !customer.hasController():
		return refuse(http.StatusForbidden, "Forbidden from updating beneficial ownership status for this customer.")
	case !customer.active():
		return wrongState("The Customer is " + customer.Status + ".")
	}
	customer.Certification = certified
	e.customers[c.id] = customer
	return c.ownershipResource(customer)
}

// changeOwnership asks for a new certification after a change of the owners. The
// caller holds the lock.
func (e *Emulator) changeOwnership(customerID string) {
	customer := e.customers[customerID]
	if customer.Certification == certified {
		customer.Certification = "recertify"
		e.customers[customerID] = customer
	}
}
