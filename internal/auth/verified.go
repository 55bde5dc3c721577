package auth

import (
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// verifiedTokens remembers the sessions of tokens whose signature and claims
// were checked, because checking one costs more than the rest of a request
// (docs/decisions/0004 says why this is safe):
//
//   - key: the SHA-256 of the whole token, so no token is kept;
//   - size: at most maxVerified sessions, the least recently used go first, and
//     only what the provider signed gets in;
//   - life: until the token's exp, and not beyond the key set it was checked
//     against: when the provider's keys change, every token is checked again.
type verifiedTokens struct {
	entries *lru.Cache[[sha256.Size]byte, verifiedToken]
}

type verifiedToken struct {
	session Session
	keys    *keys
}

const maxVerified = 10_000

func newVerifiedTokens() *verifiedTokens {
	entries, err := lru.New[[sha256.Size]byte, verifiedToken](maxVerified)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &verifiedTokens{entries}
}

func (v *verifiedTokens) get(digest [sha256.Size]byte, current *keys) (Session, bool) {
	entry, ok := v.entries.Get(digest)
	if !ok {
		return Session{}, false
	}
	if entry.keys != current || !time.Now().Before(entry.session.Expires) {
		v.entries.Remove(digest)
		return Session{}, false
	}
	return entry.session, true
}

func (v *verifiedTokens) add(digest [sha256.Size]byte, token verifiedToken) {
	v.entries.Add(digest, token)
}
