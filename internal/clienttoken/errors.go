package clienttoken

import (
	"errors"
	"time"
)

// Code is the machine-readable code of an error answer, as the HTTP contract
// spells it. Only internal/handler knows the HTTP status of each.
type Code string

// Codes for requests refused by the rules.
const (
	BadRequest            Code = "BadRequest"
	Unauthenticated       Code = "Unauthenticated"
	ActionNotAllowed      Code = "ActionNotAllowed"
	CustomerMismatch      Code = "CustomerMismatch"
	CustomerNotLinked     Code = "CustomerNotLinked"
	CustomerAlreadyLinked Code = "CustomerAlreadyLinked"
	CustomerInactive      Code = "CustomerInactive"
	TooManyRequests       Code = "TooManyRequests"
)

// Codes for outages of dependencies.
const (
	UpstreamError   Code = "UpstreamError"   // Dwolla refused, or sent an unusable response
	UpstreamTimeout Code = "UpstreamTimeout" // Dwolla did not respond in time
	Unavailable     Code = "Unavailable"     // Dwolla or a store is down, or Dwolla throttles us
)

// Refusal means that the rules do not allow the request. docs/errors.md
// compares it with the other kinds of error.
type Refusal struct {
	Code   Code
	Reason string // for the log only: the caller gets a fixed message for Code
	// RetryAfter is when to ask again, for TooManyRequests.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Reason }

// Failure means an outage of a dependency, not a fault of the caller. It never
// means "not allowed" or "not signed in".
type Failure struct {
	Code            Code          // UpstreamError, UpstreamTimeout or Unavailable
	RetryAfter      time.Duration // when to try again, or zero if unknown
	DwollaRequestID string        // Dwolla's X-Request-Id, if Dwolla responded
	Err             error         // for the log only
	// Remedy says how an operator repairs a lasting fault. It is logged as an
	// error. Empty for all other faults.
	Remedy string
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return string(f.Code)
	}
	return string(f.Code) + ": " + f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }

var (
	// ErrNoCustomer is the directory's answer for a user without a Customer.
	ErrNoCustomer = errors.New("no Customer is linked to this user")
	// ErrUnknownCustomer is Dwolla's answer for a missing Customer, or another
	// application's.
	ErrUnknownCustomer = errors.New("no Customer known to Dwolla, or another application's")
)
