// Package keyring reads lists of secret keys that rotate: the first key makes
// something new, every key accepts what it made before. A new key goes to the
// end of the list on every replica first, and to the front after that. An old
// key leaves the list once everything made with it has expired.
package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"dropgate/internal/clienttoken"
)

// The bounds of a list.
const (
	minBytes = 32 // of one key
	maxKeys  = 8
)

// Ring is a list of keys. The zero Ring is empty. It does not print its keys.
type Ring struct {
	keys []clienttoken.Secret
}

// Parse reads 1 to 8 comma-separated base64 keys of at least 32 bytes each, of
// either alphabet, with or without padding. A key that repeats one byte is an
// error. No error shows a key.
func Parse(list clienttoken.Secret) (Ring, error) {
	var r Ring
	for i, text := range strings.Split(list.Reveal(), ",") {
		text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
		key, err := base64.RawStdEncoding.Strict().DecodeString(text)
		switch {
		case err != nil:
			return Ring{}, fmt.Errorf("key %d is not base64", i+1)
		case len(key) < minBytes:
			return Ring{}, fmt.Errorf("key %d has %d bytes, and needs %d", i+1, len(key), minBytes)
		case bytes.Count(key, key[:1]) == len(key):
			return Ring{}, fmt.Errorf("key %d repeats one byte", i+1)
		case slices.ContainsFunc(r.keys, func(other clienttoken.Secret) bool {
			return subtle.ConstantTimeCompare([]byte(other.Reveal()), key) == 1
		}):
			return Ring{}, fmt.Errorf("key %d is given twice", i+1)
		case i == maxKeys:
			return Ring{}, fmt.Errorf("there are more than %d keys", maxKeys)
		}
		r.keys = append(r.keys, clienttoken.NewSecret(string(key)))
	}
	return r, nil
}

// Of returns the ring of one key: a secret of any form.
func Of(secret clienttoken.Secret) Ring { return Ring{keys: []clienttoken.Secret{secret}} }

// Len returns the number of keys.
func (r Ring) Len() int { return len(r.keys) }

// Keys returns the keys as they were given, in their order.
func (r Ring) Keys() []clienttoken.Secret { return slices.Clone(r.keys) }

// Derive returns a 32-byte key for each key of the ring, for one purpose and
// one context (HKDF-SHA-256, RFC 5869). Keys of different purposes and contexts
// are independent of each other.
func (r Ring) Derive(purpose string, context []byte) [][]byte {
	derived := make([][]byte, len(r.keys))
	for i, key := range r.keys {
		var err error
		if derived[i], err = hkdf.Key(sha256.New, []byte(key.Reveal()), context, purpose, sha256.Size); err != nil {
			panic(err) // only for a length beyond 255 hashes
		}
	}
	return derived
}
