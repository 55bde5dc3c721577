// Package audit writes the audit trail: one line for every client token, sign-in,
// sign-out, refusal of a known user, change of a link, and read of the directory or
// of a user's sessions by an operator.
//
// A line counts once its sink has accepted it. Callers wait for this before they
// hand anything out, and hand out nothing after an error. The package never makes
// decisions and never sees a token, only its fingerprint.
package audit

import "time"

// Entry is one line of the trail. The line has every member but TraceID, empty ones as
// "", so that queries can rely on them.
type Entry struct {
	Event Event
	// ID identifies entries that may appear twice; empty for all others.
	ID        string
	RequestID string // in the answer's X-Request-Id and in the access line; for a webhook, the id of Dwolla's event
	// ProxyRequestID is the X-Request-Id of a trusted proxy; empty without one.
	ProxyRequestID string
	ClientIP       string // the caller's address
	UserAgent      string // the caller's User-Agent; Write shortens it
	// Mode is the sign-in mode, "admin" for an admin token, "command" for
	// `server customers`, or "webhook" for Dwolla.
	Mode string
	// Operator is the name of the admin token, or the operating-system user of
	// `server customers`; empty when a user acts.
	Operator string
	User     string // the application's id of the user
	Customer string // the id of the user's own Customer; empty if there is none or it is unknown
	Action   string // of a client token; empty if the request named no known action
	Outcome  string // "vended", "linked", "unlinked", "signed_in", "signed_out", "read", or the code of the error answer
	// Reason says why a request was refused, in more detail than the answer, or why
	// a session ended.
	Reason string
	// DwollaRequestID is Dwolla's X-Request-Id, for its support; empty without an
	// answer from Dwolla.
	DwollaRequestID string
	// TokenFingerprint is the beginning of the token's SHA-256; empty without a
	// token.
	TokenFingerprint string
	// ChangedAt is the time of a changed link; zero for all others. The entry may be
	// written much later.
	ChangedAt time.Time
	// TraceID is the id of the recorded trace. Without one the line lacks the member.
	TraceID string
}

// Event is the kind of an entry.
type Event string

// The kinds of entries.
const (
	ClientToken Event = "client_token" // a request for a client token
	Link        Event = "link"         // an attempt to link a Customer to a user
	Unlink      Event = "unlink"       // an attempt to remove a link
	SignIn      Event = "sign_in"      // an attempt to start a session
	SignOut     Event = "sign_out"     // a session ended early, or an operator failed to end it
	Directory   Event = "directory"    // a read of the directory by an operator
	Sessions    Event = "sessions"     // a read of a user's sessions by an operator
	Admin       Event = "admin"        // a request with a bad admin token
	Opened      Event = "trail"        // the trail begins, or continues after a fault of its sink
)
