package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// Stored is the session of a user who signed in.
type Stored struct {
	User    clienttoken.User
	Subject string // sub: the user at the identity provider
	SID     string // the session at the identity provider; may be empty
	// IDToken is the id_token_hint for the logout at the identity provider. It
	// may be empty.
	IDToken clienttoken.Secret
	// Expires is when the session ends unless a request extends it. The store
	// sets it.
	Expires time.Time
	// Over reports whether this replica has ended the session since Find. It
	// does not ask Redis. Find sets it.
	Over func() bool
}

// Key is the SHA-256 of a session's id. The encryption key of the session derives
// from it, so Redis never sees it.
type Key [sha256.Size]byte

const idBytes = 32

// NewID returns a new session id: 256 random bits in 43 characters.
func NewID() clienttoken.Secret {
	var id [idBytes]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return clienttoken.NewSecret(base64.RawURLEncoding.EncodeToString(id[:]))
}

// KeyOf returns the key of a session id. It reports false for malformed ids.
func KeyOf(id string) (Key, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) != idBytes || len(id) != base64.RawURLEncoding.EncodedLen(idBytes) {
		return Key{}, false
	}
	return sha256.Sum256([]byte(id)), true
}

// Limits bound the life of sessions.
type Limits struct {
	Idle     time.Duration // since the last use
	Lifetime time.Duration // since the sign-in
	Now      func() time.Time
}

// maxPerSubject bounds the sessions of one subject. A further sign-in ends the
// oldest.
const maxPerSubject = 32

// onceTTL is how long a store remembers a single-use id and a logout. It exceeds
// every validity: a sign-in is valid for 10 minutes, and a logout token for 15
// plus another 15 while it waits for its key.
const onceTTL = 31 * time.Minute

// Touch says whether finding a session extends it.
type Touch int

// Peek leaves the session unchanged. Extend restarts its idle time.
const (
	Peek Touch = iota
	Extend
)

// SignIn describes the sign-in behind a new session.
type SignIn struct {
	// Once is the id of the sign-in. A second Start with the same id returns
	// ErrUsed.
	Once string
	// Began is when the sign-in began. After a later logout of its User, Subject or
	// SID, Start returns ErrLoggedOut. The zero time is before every logout.
	Began time.Time
	// Replaces is the key of the browser's present session. It ends if the new
	// one starts. The zero Key means no session.
	Replaces Key
}

// Ended counts the sessions that a new one ended.
type Ended struct {
	Replaced  int // the browser's previous session
	Displaced int // the subject's oldest sessions above the limit
}

// Selector selects sessions to end: one by Key or Handle, or all with Subject, or all
// with SID. With Subject and SID it selects the subject's sessions with that SID or
// with none. With User it selects all sessions of the user, and all with Subject.
type Selector struct {
	Key          Key
	Handle       Handle
	User         string // User.ID
	Subject, SID string
	// Once is the id of a logout token, or empty. A second End with the same id
	// returns ErrUsed.
	Once string
}

var (
	// ErrNone means that the session does not exist or has ended.
	ErrNone = errors.New("no such session")
	// ErrUsed means that a single-use id was used before.
	ErrUsed = errors.New("used before")
	// ErrLoggedOut means that somebody has logged out the user, the subject or the
	// SID since the sign-in began.
	ErrLoggedOut = errors.New("logged out since the sign-in began")
)

// Store keeps sessions. It returns a *clienttoken.Failure when it is down or full.
// It is safe for concurrent use.
type Store interface {
	// Start stores a new session and ends those it replaces, atomically. The
	// error is ErrUsed or ErrLoggedOut; then no session has ended. Logouts are
	// remembered for half an hour.
	Start(ctx context.Context, key Key, s Stored, by SignIn) (Ended, error)
	// Find returns a session, or ErrNone. It pays the charge before it extends a
	// session, Redis in the same round trip, unless the charge is nil. With an *ratelimit.ExceededError the session is not
	// touched, and is returned if its user is known.
	Find(ctx context.Context, key Key, touch Touch, charge *ratelimit.Charge) (Stored, error)
	Directory
}

// Directory is the part of a Store that finds sessions by a Selector.
type Directory interface {
	// End ends the selected sessions and returns them. A session selected by Key
	// is complete; others have their User.ID, Subject and SID. Selecting no session
	// is not an error.
	End(ctx context.Context, sel Selector) ([]Stored, error)
	// List returns the sessions of a user, newest first. It selects as End does,
	// extends nothing, and returns at most MaxListed.
	List(ctx context.Context, who Selector) ([]Listed, error)
}
