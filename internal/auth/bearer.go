package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"dropgate/internal/ratelimit"
)

const (
	bearerName         = "bearer"
	authorization      = "Authorization"
	bearerChallenge    = `Bearer realm="dropgate"`                   //nolint:gosec // asks for a credential, holds none
	bearerBadChallenge = bearerChallenge + `, error="invalid_token"` // RFC 6750, 3.1
)

// BearerConfig configures the accepted JSON Web Tokens.
type BearerConfig struct {
	Issuer string // must be the token's iss
	// Audience must be among the token's aud. If empty, tokens must have no aud, and
	// ClientIDs or Required must not be empty.
	Audience string
	// Header names the header with the token. If empty, it is Authorization. A proxy in
	// front of the service sets another header, so the origin of such requests is
	// checked as for a cookie.
	Header string
	// Cookie names a cookie with the token. If empty, only the header counts.
	Cookie string
	// TokenType "at+jwt" accepts only access tokens of RFC 9068, and so no ID
	// tokens. Empty also accepts "JWT" and no typ, since most providers issue
	// such access tokens.
	TokenType string
	// ClientIDs lists the accepted OAuth clients. A token needs one of the claims azp,
	// client_id, cid and appid, and those present must be in the list. If empty, all
	// clients are accepted, but only tokens with a single audience.
	ClientIDs []string
	// Required lists claims that every token must have, as ParseRequiredClaim reads
	// them.
	Required []string
	// UserClaim names the claim with the user's id (see ParseClaim). With "email",
	// email_verified must be true.
	UserClaim string
	// Claims names other claims to keep in a session.
	Claims []string
	Keys   *KeySet
}

// Bearer is the mode for JSON Web Tokens of the application's identity provider,
// in the Authorization header or a cookie.
type Bearer struct {
	config   BearerConfig
	user     claim
	claims   claimFilter
	required []requiredClaim
	cache    *tokenCache
}

// NewBearer returns the mode. It panics without an issuer, a user claim, and one of
// Audience, ClientIDs and Required: it would accept unwanted tokens.
func NewBearer(c BearerConfig) *Bearer {
	if c.Issuer == "" || c.UserClaim == "" || c.Audience == "" && len(c.ClientIDs) == 0 && len(c.Required) == 0 {
		panic("auth: bearer mode without issuer, user claim, or audience, clients and required claims")
	}
	b := &Bearer{
		config: c,
		user:   mustClaim(c.UserClaim),
		claims: newClaimFilter(c.UserClaim, c.Claims),
		cache:  newTokenCache(),
	}
	b.config.Header = http.CanonicalHeaderKey(cmp.Or(c.Header, authorization))
	for _, text := range c.Required {
		b.required = append(b.required, mustRequiredClaim(text))
	}
	return b
}

// Name returns "bearer".
func (b *Bearer) Name() string { return bearerName }

// maxSkew is the tolerated difference between the provider's clock and ours.
const maxSkew = time.Minute

// Authenticate verifies the token of the request. The header wins
// over the cookie, unless both hold good tokens of different users. Verified
// tokens are cached (docs/decisions/0004).
func (b *Bearer) Authenticate(r *http.Request, _ *ratelimit.Charge) (Session, error) {
	var room [1 + maxTokenCookies]credential // keeps the usual request off the heap
	credentials, err := b.credentials(r, room[:0])
	if err != nil {
		return Session{}, err
	}
	first, err := b.authenticate(r.Context(), credentials[0])
	if err != nil {
		return Session{}, err
	}
	for _, other := range credentials[1:] {
		second, err := b.authenticate(r.Context(), other)
		if _, bad := errors.AsType[*Rejection](err); bad {
			continue // a bad token does not count
		}
		if err != nil {
			return Session{}, err
		}
		if second.User.ID != first.User.ID {
			return Session{}, b.reject(Disagreement, "the header and the cookie name different users")
		}
	}
	return first, nil
}

func (b *Bearer) authenticate(ctx context.Context, c credential) (Session, error) {
	digest := sha256.Sum256([]byte(c.token))
	session, cached := b.cache.get(digest, b.config.Keys.current.Load())
	if !cached {
		token, err := b.verify(ctx, c.token)
		if err != nil {
			return Session{}, err
		}
		b.cache.add(digest, token)
		session = token.session
	}
	session.ByCookie = c.byCookie
	return session, nil
}

// verify checks the signature of a token, then its claims.
func (b *Bearer) verify(ctx context.Context, token string) (cachedToken, error) {
	types := []string{"at+jwt"}
	if b.config.TokenType == "" {
		types = append(types, "jwt", "")
	}
	v, err := b.config.Keys.verify(ctx, token, fromAnyone, types...)
	if errors.Is(err, errKeysNotFresh) {
		// Anyone can send an unknown kid, so that alone is not an outage.
		return cachedToken{}, b.reject(UnknownKey, err.Error())
	} else if _, ok := errors.AsType[invalidTokenError](err); ok {
		return cachedToken{}, b.reject(Invalid, err.Error())
	} else if err != nil {
		return cachedToken{}, err
	}
	session, err := b.session(v.claims)
	return cachedToken{session, v.keys.generation}, err
}

func (b *Bearer) reject(kind RejectionKind, reason string) *Rejection {
	rejection := &Rejection{Mode: bearerName, Kind: kind, Reason: reason}
	if b.config.Header == authorization {
		rejection.Challenge = bearerBadChallenge
	}
	return rejection
}
