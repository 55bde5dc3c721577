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

// Stored is a user who signed in.
type Stored struct {
	User    clienttoken.User
	Subject string // the user as the identity provider knows them: sub
	SID     string // the user's session at the identity provider; may be empty
	// IDToken tells the identity provider which of its sessions to end. It may
	// be empty.
	IDToken clienttoken.Secret
	// Expires is when the session ends unless it is used before. The store sets
	// it.
	Expires time.Time
	// Over reports whether the session has ended on this replica since it was
	// found. It asks no server. Find sets it.
	Over func() bool
}

// Key is the SHA-256 of a session's id. It leads to what seals the session, so
// no store keeps it in the clear outside of this process.
type Key [sha256.Size]byte

const idBytes = 32

// NewID makes the id of a session: 256 random bits, in 43 characters.
func NewID() clienttoken.Secret {
	var id [idBytes]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return clienttoken.NewSecret(base64.RawURLEncoding.EncodeToString(id[:]))
}

// KeyOf returns the key of what may be a session's id, and false for what
// cannot be one.
func KeyOf(id string) (Key, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) != idBytes || len(id) != base64.RawURLEncoding.EncodedLen(idBytes) {
		return Key{}, false
	}
	return sha256.Sum256([]byte(id)), true
}

// Limits say how long sessions live.
type Limits struct {
	Idle     time.Duration // without being used
	Lifetime time.Duration // since the sign-in
	Now      func() time.Time
}

// maxPerSubject bounds the sessions of one user. The oldest ends when there is
// one more.
const maxPerSubject = 32

// rememberUse is how long it is remembered that something may be used once
// only. It has to be longer than anybody accepts what was used: a sign-in takes
// 10 minutes at most. A logout token counts for 15 minutes, and for another 15 if
// it has to wait for its key.
const rememberUse = 31 * time.Minute

// Touch is what looking for a session does to it.
type Touch int

// Peek leaves the session as it is. Extend lets its idle time begin anew.
const (
	Peek Touch = iota
	Extend
)

// SignIn is what a session is started by.
type SignIn struct {
	// Once is the id of the sign-in, which starts one session only: ErrUsed is
	// the answer to another one of that id.
	Once string
	// Began is when the sign-in began: a later logout of its subject or SID
	// refuses it with ErrLoggedOut. The zero time is before every logout.
	Began time.Time
	// Replaces is the key of the session in whose place the new one comes: it
	// ends when the new one starts, and not otherwise. The zero Key is none.
	Replaces Key
}

// Ended is how many sessions had to end for a new one.
type Ended struct {
	Replaced  int // by the next sign-in of the same browser
	Displaced int // by more sign-ins of the same subject than are kept
}

// Selector sessions to end: the one of Key, or all of Subject, or all of SID. With
// both, those of Subject that are of SID or do not know theirs.
type Selector struct {
	Key          Key
	Subject, SID string
	// Once, unless it is empty, is the id of a notice that counts once: ErrUsed
	// is the answer to another one of that id.
	Once string
}

var (
	// ErrNone says that there is no such session, or no longer.
	ErrNone = errors.New("no such session")
	// ErrUsed says that what may be used once was used before.
	ErrUsed = errors.New("used before")
	// ErrLoggedOut says that the identity provider has logged the subject or the
	// SID out since the sign-in began.
	ErrLoggedOut = errors.New("logged out since the sign-in began")
)

// Store keeps sessions. Whatever it cannot do because it is down, or full, is
// a *clienttoken.Failure. It is safe for concurrent use.
type Store interface {
	// Start keeps a new session, and ends those that it comes in the place of,
	// in one step: with an error none has ended. The error is ErrUsed, or
	// ErrLoggedOut when End was asked for the session's Subject or SID after the
	// sign-in began; that is remembered for half an hour.
	Start(ctx context.Context, key Key, s Stored, by SignIn) (Ended, error)
	// Find returns a session, or ErrNone. A store in the rate limits' Redis pays
	// the charge in the same round trip; nil costs nothing. Beside an
	// *ratelimit.ExceededError there is the session that was not used, if it is
	// known whose it is.
	Find(ctx context.Context, key Key, touch Touch, charge *ratelimit.Charge) (Stored, error)
	// End ends sessions, for good, and returns them: at least their User.ID,
	// Subject and SID, and those that end by their Key with everything. None is no
	// error.
	End(ctx context.Context, sel Selector) ([]Stored, error)
}
