// Package keyring reads lists of secret keys and derives keys from them. The first
// key of a list creates, and all keys verify. To rotate, add the new key at the end
// on every replica, then move it to the front. Remove the old key once everything
// made with it has expired. The package never prints a key.
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

// The limits of a list.
const (
	minBytes = 32 // of one key
	maxKeys  = 8
)

// Ring is a list of keys. The zero Ring is empty. Printing it hides its keys.
type Ring struct {
	keys []clienttoken.Secret
}

// Parse reads 1 to 8 comma-separated base64 keys of at least 32 bytes each, in
// either alphabet, with or without padding. It refuses a key of one repeated byte.
// Errors never show a key.
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

// Of returns a ring of keys that are secrets in any form.
func Of(secrets ...clienttoken.Secret) Ring { return Ring{keys: slices.Clone(secrets)} }

// Len returns the number of keys.
func (r Ring) Len() int { return len(r.keys) }

// Keys returns the decoded keys in their order.
func (r Ring) Keys() []clienttoken.Secret { return slices.Clone(r.keys) }

// Derive returns a 32-byte key for each key of the ring (HKDF-SHA-256, RFC 5869).
// Keys of different purposes or contexts are independent.
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
