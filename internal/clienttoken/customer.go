package clienttoken

import "time"

// Customer is what the rules need to know about a Dwolla Customer.
type Customer struct {
	URL CustomerURL
	// Status is the latest one that Dwolla reported, or empty if unknown.
	Status CustomerStatus
	// CorrelationID is set only on a Customer read from Dwolla itself.
	CorrelationID string
}

// Link is a user–Customer link.
type Link struct {
	UserID   string
	Customer Customer
	Since    time.Time
}

// CustomerStatus is the state of a Customer, in Dwolla's spelling
// (https://developers.dwolla.com/docs/customer-types). Unknown values are kept.
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

// Inactive reports whether a Customer in this state gets no tokens. An unknown
// state does get them: Dwolla itself refuses the rest.
func (s CustomerStatus) Inactive() bool { return s == StatusSuspended || s == StatusDeactivated }
