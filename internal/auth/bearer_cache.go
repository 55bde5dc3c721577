package auth

import (
	"crypto/sha256"
	"time"

	"dropgate/internal/bytecache"
)

// verifiedTokens remembers the sessions of tokens whose signature and claims
// were checked, because checking one costs more than the rest of a request
// (docs/decisions/0004 says why this is safe):
//
//   - key: the SHA-256 of the whole token, so no token is kept;
//   - size: maxVerified bytes; expired ones leave first, then the least recently
//     used, and only sessions of tokens that the provider signed get in;
//   - life: until the token's exp, and not beyond the key set it was checked
//     against: when the provider's keys change, every token is checked again.
type verifiedTokens struct {
	entries *bytecache.Cache[[sha256.Size]byte, verifiedToken]
}

type verifiedToken struct {
	session    Session
	generation uint64 // of the keys
}

const maxVerified = 6 << 20 // bytes

func newVerifiedTokens() *verifiedTokens {
	return &verifiedTokens{bytecache.New[[sha256.Size]byte, verifiedToken](bytecache.Config{MaxBytes: maxVerified, Now: time.Now})}
}

func (v *verifiedTokens) get(digest [sha256.Size]byte, current *keys) (Session, bool) {
	entry, ok := v.entries.Get(digest)
	if !ok {
		return Session{}, false
	}
	if current == nil || entry.generation != current.generation {
		v.entries.Remove(digest)
		return Session{}, false
	}
	return entry.session, true
}

func (v *verifiedTokens) add(digest [sha256.Size]byte, token verifiedToken) {
	v.entries.Add(digest, token, heldBy(token.session), token.session.Expires)
}
