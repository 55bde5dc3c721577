package auth

import (
	"crypto/sha256"
	"time"

	"dropgate/internal/bytecache"
)

// tokenCache holds the sessions of verified tokens, because verifying one costs
// more than the rest of a request (docs/decisions/0004 says why this is safe):
//
//   - key: the SHA-256 of the whole token, so the cache holds no token;
//   - size: maxCachedTokens bytes. Expired entries leave first, then the least
//     recently used. Only tokens with a good signature get in;
//   - life: until the token's exp, and no longer than the key set stays the same.
//     When the provider's keys change, every token is verified again.
type tokenCache struct {
	entries *bytecache.Cache[[sha256.Size]byte, cachedToken]
}

type cachedToken struct {
	session    Session
	generation uint64 // of the keys
}

const maxCachedTokens = 6 << 20 // bytes

func newTokenCache() *tokenCache {
	return &tokenCache{bytecache.New[[sha256.Size]byte, cachedToken](bytecache.Config{MaxBytes: maxCachedTokens, Now: time.Now})}
}

func (c *tokenCache) get(digest [sha256.Size]byte, current *publicKeys) (Session, bool) {
	entry, ok := c.entries.Get(digest)
	if !ok {
		return Session{}, false
	}
	if current == nil || entry.generation != current.generation {
		c.entries.Remove(digest)
		return Session{}, false
	}
	return entry.session, true
}

func (c *tokenCache) add(digest [sha256.Size]byte, token cachedToken) {
	c.entries.Add(digest, token, token.session.bytes(), token.session.Expires)
}
