package clienttoken

// Changes reports what this replica learns while a request waits for Dwolla.
type Changes interface {
	// Watch starts to record changes to the user's link, and to every Customer
	// found for the user from then on. It does no I/O.
	Watch(userID string) Watch
}

// Watch records changes during one request.
type Watch interface {
	// Restart clears the record: this request itself just linked a Customer.
	Restart()
	// Learnt returns the changes of the user's own Customer, and of owner unless
	// zero.
	Learnt(own CustomerURL, owner BeneficialOwnerURL) Learnt
	// End stops recording.
	End()
}

// Learnt is the record of a [Watch]. The zero Learnt means no change.
type Learnt struct {
	Moved     bool           // the user has another Customer or none, or another user has it
	Status    CustomerStatus // an inactive status, or empty
	OwnerGone bool           // Dwolla no longer lists the beneficial owner
}

// noChanges is the Watch of a Vendor without Changes.
type noChanges struct{}

// Restart implements Watch.
func (noChanges) Restart() {}

// End implements Watch.
func (noChanges) End() {}

// Learnt implements Watch.
func (noChanges) Learnt(CustomerURL, BeneficialOwnerURL) Learnt { return Learnt{} }

func (v *Vendor) watch(user User) Watch {
	if v.Changes == nil {
		return noChanges{}
	}
	return v.Changes.Watch(user.ID)
}

// checkChanges refuses a grant that learnt contradicts.
func checkChanges(own CustomerURL, grant Grant, learnt Learnt) error {
	switch {
	case learnt.Status.Inactive():
		return refuse(CustomerInactive, "the user's Customer became %s while Dwolla responded", learnt.Status)
	case learnt.Moved && grant.Action == ActionCustomerCreate:
		return refuse(CustomerAlreadyLinked, "the user got a Customer while Dwolla responded")
	case learnt.Moved && !own.IsZero():
		return refuse(CustomerMismatch, "the user's link changed while Dwolla responded")
	case learnt.OwnerGone:
		return refuse(CustomerMismatch, "the beneficial owner was removed while Dwolla responded")
	}
	return nil
}
