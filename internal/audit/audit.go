// Package audit writes the audit trail: one line for every client token that
// was vended and one for every request for one that was not, whoever refused
// it and for whatever reason.
//
// The lines go where the logs go, marked with "log":"audit", and are written
// whatever the log level is. The package never decides anything and never sees
// a token: only its fingerprint.
package audit

import "github.com/rs/zerolog"

// Entry is one line of the trail. Every member is written, an empty one as "",
// so that a query can rely on it.
type Entry struct {
	RequestID string // in the answer's X-Request-Id and in the access line
	Mode      string // the sign-in mode that vouches for the user; empty when nobody is signed in
	User      string // the application's id of the user; empty when nobody is signed in
	Customer  string // the id of the user's own Customer; empty when there is none, or when that was not found out
	Action    string // as the contract knows it; empty when the request named none that is known
	Outcome   string // "vended", or the code of the error answer
	Reason    string // why it was not vended, in more words than the answer has
	// DwollaRequestID is Dwolla's X-Request-Id, for Dwolla's support; empty
	// when Dwolla was not asked or did not answer.
	DwollaRequestID string
	// TokenFingerprint is the beginning of the token's SHA-256; empty when none
	// was vended.
	TokenFingerprint string
}

// Trail writes entries. The zero Trail writes nothing.
type Trail struct {
	logger zerolog.Logger
}

// NewTrail writes to the destination of logger.
func NewTrail(logger zerolog.Logger) Trail {
	return Trail{logger: logger.With().Str("log", "audit").Logger()}
}

// Write writes one line.
func (t Trail) Write(e *Entry) {
	t.logger.Log(). // above every level
			Str("request_id", e.RequestID).
			Str("mode", e.Mode).
			Str("user", e.User).
			Str("customer", e.Customer).
			Str("action", e.Action).
			Str("outcome", e.Outcome).
			Str("reason", e.Reason).
			Str("dwolla_request_id", e.DwollaRequestID).
			Str("token_sha256_prefix", e.TokenFingerprint).
			Send()
}
