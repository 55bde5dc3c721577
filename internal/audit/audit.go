// Package audit writes the audit trail: one line for every client token, every
// sign-in and sign-out, every refusal of a known user, every change of a link
// and every look of an operator into the directory.
//
// A line counts once its sink has accepted it. Whoever hands something out waits
// for that, and hands out nothing after an error. The package never decides
// anything and never sees a token: only its fingerprint.
package audit

import "time"

// Entry is one line of the trail. Every member is written, an empty one as "",
// so that a query can rely on it.
type Entry struct {
	Event Event
	// ID recognizes an entry that may appear twice; empty for all others.
	ID        string
	RequestID string // in the answer's X-Request-Id and in the access line; for a webhook, the id of Dwolla's event
	// ProxyRequestID is the X-Request-Id of a trusted proxy; empty without one.
	ProxyRequestID string
	ClientIP       string // the caller's address
	UserAgent      string // the caller's User-Agent; Write shortens it
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
	Outcome  string // "vended", "linked", "unlinked", "signed_in", "signed_out", "read", or the code of the error answer
	// Reason is why it was refused, in more words than the answer has, or by
	// what it came about.
	Reason string
	// DwollaRequestID is Dwolla's X-Request-Id, for Dwolla's support; empty
	// when Dwolla was not asked or did not answer.
	DwollaRequestID string
	// TokenFingerprint is the beginning of the token's SHA-256; empty when none
	// was vended.
	TokenFingerprint string
	// ChangedAt is when a link changed; zero for all others. The entry may be
	// written much later.
	ChangedAt time.Time
}

// Event is what an entry is about.
type Event string

// What is audited.
const (
	ClientToken Event = "client_token" // somebody asked for one
	Link        Event = "link"         // a Customer was to become a user's own
	Unlink      Event = "unlink"       // or no longer to be it
	SignIn      Event = "sign_in"      // a user's session was to begin
	SignOut     Event = "sign_out"     // a user's session has ended before its time
	Directory   Event = "directory"    // an operator looked into the directory
	Admin       Event = "admin"        // somebody came to the directory without a good admin token
	Opened      Event = "trail"        // the trail begins, or goes on after a fault of its sink
)
