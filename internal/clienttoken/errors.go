package clienttoken

import (
	"errors"
	"time"
)

// Code is the machine-readable code of an error answer, as the HTTP contract
// spells it. Only internal/handler knows the HTTP status of each.
type Code string

// Codes for requests that the rules refuse.
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

// Codes for requests that failed because a dependency failed.
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

// Failure means that a dependency failed: an outage, not the caller's fault.
// It never means "not allowed" or "not signed in".
type Failure struct {
	Code            Code          // UpstreamError, UpstreamTimeout or Unavailable
	RetryAfter      time.Duration // when to try again, or zero if unknown
	DwollaRequestID string        // Dwolla's X-Request-Id, if Dwolla responded
	Err             error         // for the log only
	// Remedy tells the operator how to repair a fault that does not pass by
	// itself. It is logged as an error. Empty for all other faults.
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
	// ErrUnknownCustomer is Dwolla's answer for a Customer that does not exist or
	// belongs to another application.
	ErrUnknownCustomer = errors.New("no Customer known to Dwolla, or another application's")
)
