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

// publicKeys holds the usable keys of one key set document. It is immutable, so
// a pointer identifies a set. So does the generation, without keeping the set
// alive.
type publicKeys struct {
	list       []publicKey
	generation uint64
}

type publicKey struct {
	id         string   // empty if the document has none
	algorithms []string // the signatures it may verify
	public     any      // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// parseJWK parses one JSON Web Key (RFC 7517, RFC 7518, RFC 8037). A document
// may hold weak keys, and keys of unknown kinds or for other purposes. The error
// is the reason for skipping this one, and other keys stay usable.
//
// Only the members of the public key itself must be well formed. Optional members
// (certificates, thumbprints, key_ops, unknown ones) are ignored, and so are kid,
// use and alg unless they are strings.
func parseJWK(raw json.RawMessage) (publicKey, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return publicKey{}, fmt.Errorf("not a JSON object: %.40q", raw)
	}
	id := keyID(members["kid"])
	skip := func(format string, arguments ...any) (publicKey, error) {
		return publicKey{}, fmt.Errorf("kid %.100q: "+format, append([]any{id}, arguments...)...)
	}
	if use := stringMember(members["use"]); use != "" && !strings.EqualFold(use, "sig") {
		return skip("use is %.40q, not sig", use)
	}
	public, err := parsePublicKey(members)
	if err != nil {
		return skip("kty %.40q, crv %.40q: %.200s", stringMember(members["kty"]), stringMember(members["crv"]), err)
	}
	fitting := algorithmsOf(public)
	if alg := stringMember(members["alg"]); alg != "" {
		if strings.EqualFold(alg, string(jose.EdDSA)) {
			alg = string(ed25519Algorithm) // an Ed25519 key fits both names
		}
		fitting = slices.DeleteFunc(fitting, func(a string) bool {
			return !strings.EqualFold(a, alg) && (a != string(jose.EdDSA) || !strings.EqualFold(alg, string(ed25519Algorithm)))
		})
		if len(fitting) == 0 {
			return skip("alg %.40q does not fit the key, or is not accepted", alg)
		}
	}
	return publicKey{id: id, algorithms: fitting, public: public}, nil
}

// parsePublicKey parses the public key of a JWK. The error says why the key must
// not verify anything.
func parsePublicKey(members map[string]json.RawMessage) (any, error) {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "priv"} {
		if value := members[name]; len(value) > 0 && string(value) != "null" {
			return nil, fmt.Errorf("its private member %s is published, so anyone can sign with it", name)
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

var errWeakKey = errors.New("not an RSA key of 2048 bits or more, nor one on P-256, P-384, P-521 or Ed25519")

// algorithmsOf lists the signatures a public key may verify.
func algorithmsOf(public any) []string {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 {
			return []string{
				string(jose.RS256), string(jose.RS384), string(jose.RS512),
				string(jose.PS256), string(jose.PS384), string(jose.PS512),
			}
		}
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return []string{string(jose.ES256)}
		case elliptic.P384():
			return []string{string(jose.ES384)}
		case elliptic.P521():
			return []string{string(jose.ES512)}
		}
	case ed25519.PublicKey:
		return []string{string(jose.EdDSA), string(ed25519Algorithm)}
	}
	return nil
}

// ed25519Algorithm is the newer name of EdDSA with Ed25519 (RFC 9864). go-jose does
// not know it.
const ed25519Algorithm = jose.SignatureAlgorithm("Ed25519")

// ed25519Key verifies signatures with either name of the algorithm. It implements
// jose.OpaqueVerifier.
type ed25519Key ed25519.PublicKey

// VerifyPayload verifies one signature.
func (k ed25519Key) VerifyPayload(payload, signature []byte, _ jose.SignatureAlgorithm) error {
	if !ed25519.Verify(ed25519.PublicKey(k), payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}

// stringMember returns a member's text, or "" for every other type.
func stringMember(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// keyID returns the kid of a key. Some providers write a number.
func keyID(raw json.RawMessage) string {
	var number json.Number
	if json.Unmarshal(raw, &number) == nil && number != "" {
		return number.String()
	}
	return stringMember(raw)
}

// verify reports whether one of the keys signed the token.
func (k *publicKeys) verify(token *jwt.JSONWebToken) bool {
	header := token.Headers[0]
	return slices.ContainsFunc(k.candidates(header), func(public any) bool {
		if own, ok := public.(ed25519.PublicKey); ok && header.Algorithm == string(ed25519Algorithm) {
			public = ed25519Key(own)
		}
		return token.Claims(public) == nil
	})
}

// has reports whether one of the keys has the kid in the header.
func (k *publicKeys) has(header jose.Header) bool {
	return header.KeyID != "" && slices.ContainsFunc(k.list, func(key publicKey) bool { return key.id == header.KeyID })
}

// candidates returns the keys to try for a token with this header: those with
// its kid. Where the header or the key has no kid, it is the only key for the
// algorithm. If there are several, none is tried, since trying all would let
// strangers multiply our work (OpenID Connect Core, 10.1).
func (k *publicKeys) candidates(header jose.Header) []any {
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
