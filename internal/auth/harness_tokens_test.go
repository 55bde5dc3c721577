package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// midnight is the start time of synctest.
var midnight = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// These keys are made once, outside synctest. The attacker's key is never
// published. The Ed25519 key is fixed, so fuzz workers agree on its signatures.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	otherKey    = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	attackerKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	ecKey       = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P256()) })
	p384Key     = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P384()) })
	p521Key     = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P521()) })
	edKey       = sync.OnceValue(func() ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed([]byte("thirty-two bytes, the same always"[:ed25519.SeedSize]))
	})
)

func newRSA(bits int) *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, bits)) }

func newEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(curve, rand.Reader))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// object is a JSON object: a token's header or its claims.
type object = map[string]any

// absent as an edit removes the member.
type absent struct{}

func edited(o, edits object) object {
	o = maps.Clone(o)
	for name, value := range edits {
		if _, ok := value.(absent); ok {
			delete(o, name)
		} else {
			o[name] = value
		}
	}
	return o
}

// header returns the header of a good token, with edits.
func header(edits object) object {
	return edited(object{"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}, edits)
}

// claims returns alice's claims, valid for one hour after midnight, with edits.
func claims(edits object) object {
	return edited(object{
		"iss": issuer, "aud": audience, "sub": "alice",
		"iat": midnight.Unix(), "exp": midnight.Add(time.Hour).Unix(),
	}, edits)
}

// goodToken is a good token of alice. tokenWith edits its claims.
func goodToken() string { return tokenWith(nil) }

func tokenWith(edits object) string { return sign(rsaKey(), header(nil), claims(edits)) }

// tokenWithHeader is a correctly signed token with an edited header.
func tokenWithHeader(edits object) string { return sign(rsaKey(), header(edits), claims(nil)) }

// sign makes a token from any header, payload and key. The header's alg decides
// how. A string payload is used unchanged.
func sign(key any, header object, payload any) string {
	return signText(key, fmt.Sprint(header["alg"]), asJSON(header), asJSON(payload))
}

func signText(key any, alg, header, payload string) string {
	input := encoded(header) + "." + encoded(payload)
	return input + "." + encoded(string(signature(key, alg, []byte(input))))
}

func asJSON(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(must(json.Marshal(v)))
}

func encoded(part string) string { return base64.RawURLEncoding.EncodeToString([]byte(part)) }

func signature(key any, alg string, input []byte) []byte {
	hash := crypto.SHA256
	switch {
	case strings.HasSuffix(alg, "384"):
		hash = crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		hash = crypto.SHA512
	}
	hasher := hash.New()
	hasher.Write(input)
	digest := hasher.Sum(nil)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return must(rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(nil, key, hash, digest))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		size := (key.Curve.Params().BitSize + 7) / 8
		both := make([]byte, 2*size)
		must(r, err).FillBytes(both[:size])
		s.FillBytes(both[size:])
		return both
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input)
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write(input)
		return mac.Sum(nil)
	}
	return nil // unsigned
}

// parts returns the three parts of a good token.
func parts() []string { return strings.Split(goodToken(), ".") }

// forged names an unknown key, with a signature of zeros.
func forged(kid string) string {
	return encoded(asJSON(header(object{"kid": kid}))) + "." + encoded(asJSON(claims(nil))) + "." +
		encoded(string(make([]byte, 256)))
}
