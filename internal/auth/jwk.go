package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keys are the keys of one document. They are never changed, so a pointer
// stands for a set, and so does its generation, which keeps nothing alive.
type keys struct {
	list       []key
	generation uint64
}

type key struct {
	id         string   // empty: the document names none
	algorithms []string // the signatures it may verify
	public     any      // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// usable reads one key (RFC 7517, RFC 7518, RFC 8037). A document may hold keys
// for other purposes, of unknown kinds, or too weak: the error says why this one
// is skipped, so that it does not cost the others.
//
// Only the members of the public key itself have to be good. Optional members
// (certificates, thumbprints, key_ops, unknown ones) are not read, and kid, use
// and alg count only as strings.
func usable(raw json.RawMessage) (key, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return key{}, fmt.Errorf("not a JSON object: %.40q", raw)
	}
	id := keyID(members["kid"])
	skipped := func(format string, arguments ...any) (key, error) {
		return key{}, fmt.Errorf("kid %.100q: "+format, append([]any{id}, arguments...)...)
	}
	if use := textOf(members["use"]); use != "" && !strings.EqualFold(use, "sig") {
		return skipped("use is %.40q, not sig", use)
	}
	public, err := publicKey(members)
	if err != nil {
		return skipped("kty %.40q, crv %.40q: %.200s", textOf(members["kty"]), textOf(members["crv"]), err)
	}
	fitting := algorithmsOf(public)
	if alg := textOf(members["alg"]); alg != "" {
		fitting = slices.DeleteFunc(fitting, func(a string) bool { return !strings.EqualFold(a, alg) })
		if len(fitting) == 0 {
			return skipped("alg %.40q does not fit the key, or is not accepted", alg)
		}
	}
	return key{id: id, algorithms: fitting, public: public}, nil
}

// publicKey reads the public key of a JWK. The error says why it must not verify
// anything.
func publicKey(members map[string]json.RawMessage) (any, error) {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "priv"} {
		if value := members[name]; len(value) > 0 && string(value) != "null" {
			return nil, fmt.Errorf("its private member %s is published, so that anybody can sign with it", name)
		}
	}
	own := map[string]json.RawMessage{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
		if value, ok := members[name]; ok {
			own[name] = value
		}
	}
	text, err := json.Marshal(own)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller names the key
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(text); err != nil {
		return nil, err //nolint:wrapcheck // likewise
	}
	if !k.Valid() || len(algorithmsOf(k.Key)) == 0 {
		return nil, errWeakKey
	}
	return k.Key, nil
}

var errWeakKey = errors.New("not an RSA key of 2048 bits or more, nor one on P-256 or Ed25519")

// algorithmsOf are the signatures that a public key can verify.
func algorithmsOf(public any) []string {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 {
			return []string{string(jose.RS256), string(jose.PS256)}
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return []string{string(jose.ES256)}
		}
	case ed25519.PublicKey:
		return []string{string(jose.EdDSA)}
	}
	return nil
}

// textOf is a member's text, and empty for every other type.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// keyID is the kid of a key. Some providers write a number.
func keyID(raw json.RawMessage) string {
	var number json.Number
	if json.Unmarshal(raw, &number) == nil && number != "" {
		return number.String()
	}
	return textOf(raw)
}

// signed reports whether one of the keys signed a token.
func (k *keys) signed(token *jwt.JSONWebToken) bool {
	return slices.ContainsFunc(k.fitting(token.Headers[0]), func(public any) bool { return token.Claims(public) == nil })
}

// name reports whether one of the keys is the one that a header names.
func (k *keys) name(header jose.Header) bool {
	return header.KeyID != "" && slices.ContainsFunc(k.list, func(key key) bool { return key.id == header.KeyID })
}

// fitting returns the public keys that may have signed a token with that
// header: those with its kid, or else the only one for its algorithm, where
// either of the two has no kid. Where there is a choice none is tried: trying
// all would let strangers multiply our work (OpenID Connect Core, 10.1).
func (k *keys) fitting(header jose.Header) []any {
	var named, unnamed []any
	for _, key := range k.list {
		switch {
		case !slices.Contains(key.algorithms, header.Algorithm):
		case header.KeyID != "" && key.id == header.KeyID:
			named = append(named, key.public)
		case header.KeyID == "" || key.id == "":
			unnamed = append(unnamed, key.public)
		}
	}
	if len(named) > 0 {
		return named
	}
	if len(unnamed) == 1 {
		return unnamed
	}
	return nil
}
