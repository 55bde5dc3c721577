package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// invalidTokenError is the reason for refusing a token. It never quotes the token.
type invalidTokenError string

func (i invalidTokenError) Error() string { return string(i) }

// verifiedToken is a token with a good signature.
type verifiedToken struct {
	claims tokenClaims
	keys   *publicKeys // one of them signed it
}

// maxTokenLength bounds the tokens to parse, in bytes.
const maxTokenLength = 32 << 10

// algorithms lists the accepted signatures. All are asymmetric, so nobody can
// use a public key as a shared secret.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, ed25519Algorithm,
	}
}

// errKeysNotFresh reports an unknown key while a fetch is impossible: it is too
// early, or the provider is down. The key may be a new one.
var errKeysNotFresh = errors.New("signed by an unknown key, and the provider's keys could not be fetched again")

// verify checks the type and the signature of a token. Types are in lower case
// and without "application/"; "" accepts tokens without a type. The error is an
// invalidTokenError, errKeysNotFresh, or one from ready.
func (s *KeySet) verify(ctx context.Context, token string, from tokenSource, types ...string) (verifiedToken, error) {
	started := time.Now()
	keys, err := s.ready(ctx, from)
	if err != nil {
		return verifiedToken{}, err
	}
	signed, err := parseToken(token, types...)
	if err != nil {
		return verifiedToken{}, err
	}
	header := signed.Headers[0] // the compact form has exactly one
	ok := keys.verify(signed)
	if !ok {
		// The key may be new, or may have replaced one with the same kid. The
		// second case is rare, and not worth a wait.
		old := keys
		if keys.has(header) {
			from = fromAnyone
		}
		if keys, err = s.refreshed(ctx, from); err != nil {
			return verifiedToken{}, err
		}
		if keys != old {
			ok = keys.verify(signed)
		}
	}
	if !ok && !keys.has(header) && s.lastSuccess().Before(started) {
		return verifiedToken{}, fmt.Errorf("%w (kid %.40q, alg %s)", errKeysNotFresh, header.KeyID, header.Algorithm)
	}
	if !ok {
		return verifiedToken{}, invalidTokenError(fmt.Sprintf("signed by none of the provider's keys (kid %.40q, alg %s)", header.KeyID, header.Algorithm))
	}
	v := verifiedToken{keys: keys}
	v.claims, err = readClaims(signed)
	return v, err
}

// parseToken parses a signed token of one of the types. The error is an
// invalidTokenError.
func parseToken(token string, types ...string) (*jwt.JSONWebToken, error) {
	if len(token) > maxTokenLength {
		return nil, invalidTokenError(fmt.Sprintf("the token has %d bytes, above %d", len(token), maxTokenLength))
	}
	signed, err := jwt.ParseSigned(token, algorithms())
	if err != nil || !strictBase64(token) {
		return nil, notSigned(token)
	}
	if typ := typeOf(signed.Headers[0]); !slices.Contains(types, typ) {
		return nil, invalidTokenError(fmt.Sprintf("token of type %.40q", typ))
	}
	return signed, nil
}

// notSigned explains why a text is not a token with an accepted signature. It quotes
// only the algorithm.
func notSigned(token string) invalidTokenError {
	parts := strings.Split(token, ".")
	switch len(parts) {
	case 3:
	case 5:
		return "an encrypted token (JWE): let the provider sign its tokens without encrypting them"
	default:
		return "not a JSON Web Token: the provider issues opaque access tokens. Many issue JSON Web Tokens once the application asks for an audience or resource"
	}
	if strings.Contains(token, "=") {
		return "base64 with padding, as in x-amzn-oidc-data of AWS: use x-amzn-oidc-accesstoken"
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err != nil || json.Unmarshal(text, &header) != nil {
		return "not a JSON Web Token: its header is not JSON in base64"
	}
	switch {
	case strings.HasPrefix(header.Algorithm, "HS"):
		return invalidTokenError(fmt.Sprintf("alg %.10q signs with a shared secret, so every holder of the secret could make tokens: let the provider sign with a private key, such as RS256 or ES256", header.Algorithm))
	case strings.EqualFold(header.Algorithm, "none"):
		return "alg none: the token is not signed"
	case !slices.Contains(algorithms(), jose.SignatureAlgorithm(header.Algorithm)):
		return invalidTokenError(fmt.Sprintf("alg %.40q is not accepted", header.Algorithm))
	}
	return "malformed JSON Web Token"
}

// strictBase64 refuses alternative spellings of a token. Base64 decoders skip
// line breaks and unused trailing bits, so one token would have several texts.
func strictBase64(token string) bool {
	strict := base64.RawURLEncoding.Strict()
	for part := range strings.SplitSeq(token, ".") {
		if _, err := strict.DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return false
		}
	}
	return true
}

// typeOf returns the type in a token's header. The same provider signs tokens of
// other types for other purposes.
func typeOf(header jose.Header) string {
	given, present := header.ExtraHeaders[jose.HeaderType]
	if !present {
		return ""
	}
	return strings.TrimPrefix(strings.ToLower(fmt.Sprint(given)), "application/")
}
