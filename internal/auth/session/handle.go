package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
)

// Handle names a session for operators. It is a hash of the session's key, which is
// itself a hash of the session's id, so nobody can use it as a cookie. It stays the same
// for the life of a session.
type Handle [sha256.Size]byte

// String returns the handle as hexadecimal digits. A session id has another length.
func (h Handle) String() string { return hex.EncodeToString(h[:]) }

// ParseHandle reverses Handle.String. It reports false for any other text.
func ParseHandle(text string) (Handle, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != sha256.Size || text != strings.ToLower(text) {
		return Handle{}, false
	}
	return Handle(raw), true
}

// MaxListed bounds a list. A subject has at most 32 sessions. Only users who share a
// user id can have more together.
const MaxListed = 100

// Listed describes a session for operators. It has no secret.
type Listed struct {
	Handle  Handle
	UserID  string
	Started time.Time // zero if unknown
	// Used is when the session was last extended, as far as Limits.Idle tells.
	Used time.Time
	// Expires is when the session ends unless a request extends it, and Deadline
	// when it ends at the latest.
	Expires, Deadline time.Time
}

// listed describes a session that ends at idle unless extended.
func (l Limits) listed(started, idle, deadline time.Time) Listed {
	used := idle.Add(-l.Idle)
	if used.Before(started) { // SESSION_IDLE_TIMEOUT is longer than before
		used = started
	}
	if now := l.Now(); used.After(now) { // it is shorter than before
		used = now
	}
	return Listed{Started: started, Used: used, Expires: earlier(idle, deadline), Deadline: deadline}
}

// handleOf returns the handle in a session's key in Redis.
func handleOf(name string) (Handle, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(name[max(0, len(name)-base64.RawURLEncoding.EncodedLen(sha256.Size)):])
	if err != nil || len(raw) != sha256.Size {
		return Handle{}, false
	}
	return Handle(raw), true
}

// handledName returns the key in Redis of the session with a handle. The session may
// belong to another scope.
func (v *sealer) handledName(h Handle) string {
	return "dropgate:session:" + v.tag + base64.RawURLEncoding.EncodeToString(h[:])
}
