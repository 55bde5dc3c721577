package clienttoken

import "time"

// Customer is a Customer as far as the rules need to know it.
type Customer struct {
	URL CustomerURL
	// Status is what Dwolla said last. It is empty when nobody has been told.
	Status CustomerStatus
	// CorrelationID is the one that the Customer was created with. Only Dwolla
	// itself tells it; it is empty everywhere else.
	CorrelationID string
}

// Link says whose a Customer is.
type Link struct {
	UserID   string
	Customer Customer
	Since    time.Time
}

// CustomerStatus is the state of a Customer, in Dwolla's spelling
// (https://developers.dwolla.com/docs/customer-types). Values that Dwolla adds
// later are kept as they come.
type CustomerStatus string

// The documented states.
const (
	StatusUnverified  CustomerStatus = "unverified"
	StatusRetry       CustomerStatus = "retry"
	StatusKBA         CustomerStatus = "kba"
	StatusDocument    CustomerStatus = "document"
	StatusVerified    CustomerStatus = "verified"
	StatusSuspended   CustomerStatus = "suspended"
	StatusDeactivated CustomerStatus = "deactivated"
)

// Inactive reports whether a Customer in this state gets no tokens. Nobody
// knowing the state is no reason to refuse: Dwolla refuses what it does not want.
func (s CustomerStatus) Inactive() bool { return s == StatusSuspended || s == StatusDeactivated }
