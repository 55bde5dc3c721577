package emulator

import "net/http"

func noCustomer() answer {
	return refuse(http.StatusNotFound, "The Customer was not found.")
}

func (e *Emulator) createCustomer(c call) answer {
	var form customerForm
	if !c.decode(&form) {
		return notJSON()
	}
	now := e.options.Now()
	customer := form.applyTo(Customer{ID: newUUID(), Type: "unverified", Created: now})
	k := checks{now: now}
	if form.check(&k, customer, isSSN); k.errs != nil {
		return invalid(k.errs...)
	}
	return e.once(c, OpCreateCustomer, func() answer {
		if len(e.customers) >= maxCustomers {
			return tooManyResources("The emulator has too many Customers.")
		}
		customer = customer.initially()
		if errs := e.keep(customer); errs != nil {
			return invalid(errs...)
		}
		e.sendEvent(topicCreated, customer.ID)
		if customer.verifiable() {
			e.sendEvent(topicOf("", customer.Status), customer.ID)
		}
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

// updateCustomer changes a Customer, upgrades an unverified one, or retries the
// verification of one in status retry. Absent or empty members change nothing.
func (e *Emulator) updateCustomer(c call) answer {
	var form customerForm
	if !c.decode(&form) {
		return notJSON()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before, exists := e.customers[c.id]
	if !exists {
		return noCustomer()
	}
	if !before.active() {
		return wrongState("The Customer is " + before.Status + ".")
	}
	if errs := before.checkFixed(form); errs != nil {
		return invalid(errs...)
	}
	after, errs := before.updated(form, checks{now: e.options.Now()})
	if errs == nil {
		errs = e.keep(after)
	}
	if errs != nil {
		return invalid(errs...)
	}
	e.sendEvent(topicOf(before.Status, after.Status), after.ID)
	return c.showCustomer(after)
}

// updated is the Customer after an update, or the faults of the update.
func (c Customer) updated(form customerForm, k checks) (Customer, []fieldError) {
	after := form.applyTo(c)
	switch {
	case c.Status == "retry":
		form.check(&k, after, isFullSSN)
		return after.verifyAgain(), k.errs
	case after.Type != c.Type:
		form.check(&k, after, isSSN)
		return after.initially(), k.errs
	default:
		after.check(&k)
		form.checkAddress(&k, k.optional)
		return after, k.errs
	}
}

// checkFixed refuses changes to fixed members.
func (c Customer) checkFixed(form customerForm) []fieldError {
	var k checks
	if form.CorrelationID != "" && form.CorrelationID != c.CorrelationID {
		k.add("ReadOnly", "/correlationId", "CorrelationId cannot be changed.")
	}
	if form.Status != "" && form.Status != c.Status {
		k.add("NotAllowed", "/status", "Status cannot be changed.")
	}
	if form.Type != "" && form.Type != c.Type && !c.upgradesTo(form.Type) {
		k.add("NotAllowed", "/type", "Only an unverified Customer can be upgraded.")
	}
	if c.verifiable() && c.Status != "retry" {
		k.unchanged("/firstName", form.FirstName, c.FirstName)
		k.unchanged("/lastName", form.LastName, c.LastName)
		k.unchanged("/businessName", form.BusinessName, c.BusinessName)
	}
	return k.errs
}

func (c Customer) upgradesTo(customerType string) bool {
	return c.Type == "unverified" || c.Type == "receive-only" && customerType == "unverified"
}
