package clienttoken

import (
	"errors"
	"time"
)

// Code is the machine-readable code of an error answer, as the contract
// spells it. The HTTP status of each is known to internal/handler alone.
type Code string

// Why a request was refused.
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

// Why a request that may have been right could not be served.
const (
	UpstreamError   Code = "UpstreamError"   // Dwolla refused, or answered nonsense
	UpstreamTimeout Code = "UpstreamTimeout" // Dwolla did not answer in time
	Unavailable     Code = "Unavailable"     // Dwolla or a store is down or throttles us
)

// Refusal is the answer to a request that the rules do not allow. It is made
// where the rule is, passes up untouched, and is rendered once.
type Refusal struct {
	Code   Code
	Reason string // for the log only; the caller sees a fixed text for Code
	// RetryAfter is when to ask again, for TooManyRequests.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Reason }

// Failure says that a part that the answer depends on did not do its work: an
// outage, never the caller's fault and never "not allowed".
type Failure struct {
	Code            Code          // UpstreamError, UpstreamTimeout or Unavailable
	RetryAfter      time.Duration // when to try again; zero where nobody knows
	DwollaRequestID string        // Dwolla's X-Request-Id, where there was an answer
	Err             error         // for the log only
	// Mend tells the operator what to look at, for a fault that will not pass
	// by itself; else empty. It is for the log only, as an error.
	Mend string
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return string(f.Code)
	}
	return string(f.Code) + ": " + f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }

var (
	// ErrNoCustomer is a directory's answer for a user to whom no Customer is
	// linked.
	ErrNoCustomer = errors.New("no Customer is linked to this user")
	// ErrUnknownCustomer is Dwolla's answer about a Customer that does not exist,
	// or is another application's.
	ErrUnknownCustomer = errors.New("no Customer that Dwolla knows, or another application's")
)
