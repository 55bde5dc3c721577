package emulator

import "net/http"

// ownerResource is a beneficial owner on the wire. It does not name its Customer.
type ownerResource struct {
	Links              links       `json:"_links"`
	ID                 string      `json:"id"`
	FirstName          string      `json:"firstName"`
	LastName           string      `json:"lastName"`
	Address            addressForm `json:"address"`
	VerificationStatus string      `json:"verificationStatus"`
	Created            string      `json:"created"`
}

func noOwner() answer {
	return refuse(http.StatusNotFound, "The beneficial owner was not found.")
}

func (c call) ownerResource(o BeneficialOwner) ownerResource {
	self := ownersPath + o.ID
	r := ownerResource{
		Links: links{"self": c.link(self, "beneficial-owner")},
		ID:    o.ID, FirstName: o.FirstName, LastName: o.LastName, Address: addressForm(o.Address),
		VerificationStatus: o.VerificationStatus, Created: wireTime(o.Created),
	}
	switch o.VerificationStatus {
	case "incomplete":
		r.Links["retry-verification"] = c.link(self, "beneficial-owner")
	case "document":
		r.Links["document-form"] = c.documentForm(self)
		r.Links["verify-with-document"] = c.link(self+"/documents", "document")
	}
	return r
}

func (e *Emulator) listOwners(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[c.id]; !exists {
		return noCustomer()
	}
	ids := e.ownersOf[c.id]
	owners := make([]ownerResource, 0, len(ids))
	for _, id := range ids {
		owners = append(owners, c.ownerResource(e.owners[id]))
	}
	return list(c, customersPath+c.id+"/beneficial-owners", "beneficial-owner", owners)
}

// ownerForm reads and checks the body of a creation or update.
func (e *Emulator) ownerForm(c call) (personForm, answer) {
	var form personForm
	if !c.decode(&form) {
		return form, notJSON()
	}
	k := checks{now: e.options.Now()}
	form.check(&k, "", isFullSSN)
	if k.errs != nil {
		return form, invalid(k.errs...)
	}
	return form, answer{}
}

func (e *Emulator) createOwner(c call) answer {
	form, refusal := e.ownerForm(c)
	if refusal.status != 0 {
		return refusal
	}
	now := e.options.Now()
	return e.once(c, OpCreateBeneficialOwner, func() answer {
		customer, exists := e.customers[c.id]
		switch {
		case !exists:
			return noCustomer()
		case !customer.hasController():
			return refuse(http.StatusForbidden, "The Customer has no beneficial owners.")
		case !customer.active():
			return wrongState("The Customer is " + customer.Status + ".")
		case len(e.ownersOf[c.id]) >= maxOwners:
			return tooManyResources("The Customer has four beneficial owners already.")
		}
		o := BeneficialOwner{
			ID: newUUID(), CustomerID: c.id, FirstName: form.FirstName, LastName: form.LastName,
			VerificationStatus: verifyOwner(form.FirstName), Address: Address(form.Address), Created: now,
		}
		e.keepOwner(o)
		e.changeOwnership(c.id)
		e.sendEventAbout(topicOwnerCreated, c.id, ownersPath+o.ID)
		e.sendEventAbout(ownerTopic(o.VerificationStatus), c.id, ownersPath+o.ID)
		return created(c.url(ownersPath + o.ID))
	})
}

func (e *Emulator) readOwner(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, exists := e.owners[c.id]
	if !exists {
		return noOwner()
	}
	return answer{status: http.StatusOK, body: c.ownerResource(o)}
}

// updateOwner is the one further attempt to verify an incomplete owner.
func (e *Emulator) updateOwner(c call) answer {
	form, refusal := e.ownerForm(c)
	if refusal.status != 0 {
		return refusal
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	o, exists := e.owners[c.id]
	if !exists {
		return noOwner()
	}
	if o.VerificationStatus != "incomplete" {
		return wrongState("Only an incomplete beneficial owner can be updated.")
	}
	o.FirstName, o.LastName, o.Address = form.FirstName, form.LastName, Address(form.Address)
	status := verifyOwner(o.FirstName)
	if status == "incomplete" {
		status = "document"
	}
	e.setOwnerStatus(o, status)
	e.changeOwnership(o.CustomerID)
	return answer{status: http.StatusOK, body: c.ownerResource(e.owners[o.ID])}
}

func (e *Emulator) deleteOwner(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, exists := e.owners[c.id]
	if !exists {
		return noOwner()
	}
	e.forgetOwner(o)
	e.changeOwnership(o.CustomerID)
	e.sendEventAbout(topicOwnerRemoved, o.CustomerID, ownersPath+o.ID)
	return answer{status: http.StatusOK, body: c.ownerResource(o)}
}
