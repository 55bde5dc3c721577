package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keys are the keys of one document. They are never changed, so a pointer
// stands for a set.
type keys struct{ list []key }

type key struct {
	id         string
	algorithms []string // the signatures it may verify
	public     any      // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// usable reads one key. A document may hold keys for other purposes, of kinds
// that this service does not know, or too weak: they are passed over, so that
// one of them does not cost the others.
func usable(raw json.RawMessage) (key, bool) {
	var k jose.JSONWebKey
	if k.UnmarshalJSON(raw) != nil || !k.Valid() || k.Use != "" && k.Use != "sig" {
		return key{}, false
	}
	var fitting []string
	switch public := k.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 {
			fitting = []string{string(jose.RS256), string(jose.PS256)}
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			fitting = []string{string(jose.ES256)}
		}
	case ed25519.PublicKey:
		fitting = []string{string(jose.EdDSA)}
	}
	if k.Algorithm != "" {
		fitting = slices.DeleteFunc(fitting, func(a string) bool { return a != k.Algorithm })
	}
	return key{id: k.KeyID, algorithms: fitting, public: k.Key}, len(fitting) > 0
}

// open returns what a token says that one of the keys signed.
func (k *keys) open(token *jwt.JSONWebToken) (verified, bool) {
	v := verified{keys: k}
	for _, public := range k.fitting(token.Headers[0]) {
		if token.Claims(public, &v.claims.standard, &v.claims.all, &v.payload) == nil {
			return v, true
		}
	}
	return verified{}, false
}

// name reports whether one of the keys is the one that a header names.
func (k *keys) name(header jose.Header) bool {
	return header.KeyID != "" && slices.ContainsFunc(k.list, func(key key) bool { return key.id == header.KeyID })
}

// fitting returns the public keys that may have signed a token with that
// header. A token that names no key must leave no choice: trying all of them
// would let strangers multiply our work (OpenID Connect Core, 10.1).
func (k *keys) fitting(header jose.Header) []any {
	var found []any
	for _, key := range k.list {
		if slices.Contains(key.algorithms, header.Algorithm) && (header.KeyID == "" || header.KeyID == key.id) {
			found = append(found, key.public)
		}
	}
	if header.KeyID == "" && len(found) > 1 {
		return nil
	}
	return found
}
