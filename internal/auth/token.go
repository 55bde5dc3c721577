package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// invalid is what is wrong with a token.
type invalid string

func (i invalid) Error() string { return string(i) }

// verified is a token whose signature is good.
type verified struct {
	claims claims
	keys   *keys // that it was verified with
}

// maxTokenLength bounds what is parsed, in bytes.
const maxTokenLength = 8 << 10

// algorithms are the signatures that are accepted: asymmetric ones only, so
// that a public key can never be used as a secret.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}
}

// errKeysNotFresh is a token whose key is not known, while nobody can say
// whether it is a new one: it is too early to ask, or the provider is down.
var errKeysNotFresh = errors.New("signed by a key that is not known, and the provider's keys could not be fetched anew")

// verify checks that one of the keys signed a token of one of the types, in
// lower case and without "application/"; "" is a token that names none. The
// error is invalid, errKeysNotFresh, or that of get.
func (s *KeySet) verify(ctx context.Context, token string, from source, types ...string) (verified, error) {
	asked := time.Now()
	at, err := s.get(ctx, from)
	if err != nil {
		return verified{}, err
	}
	signed, err := parseToken(token, types...)
	if err != nil {
		return verified{}, err
	}
	header := signed.Headers[0] // the compact form has exactly one
	ok := at.signed(signed)
	if !ok {
		// The key may be new, or another one under the old name. That is rare,
		// and not worth waiting for.
		old := at
		if at.name(header) {
			from = fromAnybody
		}
		if at, err = s.refreshed(ctx, from); err != nil {
			return verified{}, err
		}
		if at != old {
			ok = at.signed(signed)
		}
	}
	if !ok && !at.name(header) && s.fetchedBefore(asked) {
		return verified{}, fmt.Errorf("%w (kid %.40q, alg %s)", errKeysNotFresh, header.KeyID, header.Algorithm)
	}
	if !ok {
		return verified{}, invalid(fmt.Sprintf("signed by none of the provider's keys (kid %.40q, alg %s)", header.KeyID, header.Algorithm))
	}
	v := verified{keys: at}
	v.claims, err = readClaims(signed)
	return v, err
}

// parseToken reads a signed token of one of the types. The error is invalid.
func parseToken(token string, types ...string) (*jwt.JSONWebToken, error) {
	if len(token) > maxTokenLength {
		return nil, invalid("token is too long")
	}
	signed, err := jwt.ParseSigned(token, algorithms())
	if err != nil || !spelledAsSigned(token) {
		return nil, invalid("not a token with an accepted algorithm")
	}
	if typ := typeOf(signed.Headers[0]); !slices.Contains(types, typ) {
		return nil, invalid(fmt.Sprintf("token of type %.40q", typ))
	}
	return signed, nil
}

// fetchedBefore reports whether all the provider's answers are to questions of
// before then.
func (s *KeySet) fetchedBefore(then time.Time) bool { return s.succeeded().Before(then) }

// spelledAsSigned refuses other spellings of a good token, so that nobody can
// make several tokens of one: base64 decoders skip line breaks and the bits of
// a last character that say nothing.
func spelledAsSigned(token string) bool {
	strict := base64.RawURLEncoding.Strict()
	for part := range strings.SplitSeq(token, ".") {
		if _, err := strict.DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return false
		}
	}
	return true
}

// typeOf is what a token is for: the same provider signs others for other
// purposes.
func typeOf(header jose.Header) string {
	given, present := header.ExtraHeaders[jose.HeaderType]
	if !present {
		return ""
	}
	return strings.TrimPrefix(strings.ToLower(fmt.Sprint(given)), "application/")
}
