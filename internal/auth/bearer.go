package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

const (
	bearerName         = "bearer"
	bearerChallenge    = `Bearer realm="dropgate"`                   //nolint:gosec // asks for a credential, holds none
	bearerBadChallenge = bearerChallenge + `, error="invalid_token"` // RFC 6750, 3.1
)

// BearerConfig configures the accepted JSON Web Tokens.
type BearerConfig struct {
	Issuer   string // must be the token's iss
	Audience string // must be among the token's aud
	// Cookie names a cookie with the token. If empty, only the Authorization
	// header counts.
	Cookie string
	// TokenType "at+jwt" accepts only access tokens of RFC 9068, and so no ID
	// tokens. Empty also accepts "JWT" and no typ, since most providers issue
	// such access tokens.
	TokenType string
	// ClientIDs lists the accepted OAuth clients. A token needs azp or client_id,
	// and those present must be in the list. If empty, all clients are accepted,
	// but only tokens with a single audience.
	ClientIDs []string
	// UserClaim names the claim with the user's id. With "email",
	// email_verified must be true.
	UserClaim string
	// Claims names other claims to keep in a session.
	Claims []string
	Keys   *KeySet
}

// Bearer is the mode for JSON Web Tokens of the application's identity provider,
// in the Authorization header or a cookie.
type Bearer struct {
	config BearerConfig
	claims claimFilter
	cache  *tokenCache
}

// NewBearer returns the mode. It panics without an issuer, an audience and a
// user claim, since an empty one would match unwanted tokens.
func NewBearer(c BearerConfig) *Bearer {
	if c.Issuer == "" || c.Audience == "" || c.UserClaim == "" {
		panic("auth: bearer mode without issuer, audience or user claim")
	}
	return &Bearer{config: c, claims: newClaimFilter(c.UserClaim, c.Claims), cache: newTokenCache()}
}

// Name returns "bearer".
func (b *Bearer) Name() string { return bearerName }

// maxSkew is the tolerated difference between the provider's clock and ours.
const maxSkew = time.Minute

// Authenticate verifies the token of the request. The Authorization header wins
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
			return Session{}, b.reject(Disagreement, "the Authorization header and the cookie name different users")
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

type credential struct {
	token    string
	byCookie bool
}

// credentials appends the tokens of the request to found: first the one in the
// Authorization header, then those in the cookie, without duplicates. Without
// the header, several cookie values are refused as ambiguous.
func (b *Bearer) credentials(r *http.Request, found []credential) ([]credential, error) {
	found, err := b.inHeader(r.Header["Authorization"], found)
	if err != nil {
		return nil, err
	}
	if b.config.Cookie != "" {
		cookies := cookieValues(r, b.config.Cookie)
		if len(found) == 0 && len(cookies) > 1 || len(cookies) > maxTokenCookies {
			return nil, b.reject(Ambiguous, "several cookies named "+b.config.Cookie)
		}
		for _, value := range cookies {
			if len(found) == 0 || value != found[0].token {
				found = append(found, credential{token: value, byCookie: true})
			}
		}
	}
	if len(found) == 0 {
		return nil, errNoCredential
	}
	return found, nil
}

// inHeader appends the token in the Authorization header to found.
func (b *Bearer) inHeader(headers []string, found []credential) ([]credential, error) {
	if len(headers) == 0 {
		return found, nil
	}
	if len(headers) > 1 {
		return nil, b.reject(Ambiguous, "several Authorization headers")
	}
	scheme, token := cutScheme(headers[0])
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return append(found, credential{token: token}), nil
	case strings.EqualFold(scheme, "DPoP"):
		return nil, b.reject(Unsupported, "a DPoP token; its proof cannot be verified")
	}
	return found, nil
}

// bearerReads reports whether the mode bearer reads an Authorization header.
func bearerReads(header string) bool {
	scheme, _ := cutScheme(header)
	return strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")
}

// maxTokenCookies bounds the tokens to verify in the cookies of one request.
const maxTokenCookies = 2

// cutScheme splits an Authorization header at its first space or tab.
func cutScheme(header string) (scheme, rest string) {
	at := strings.IndexAny(header, " \t")
	if at < 0 {
		return header, ""
	}
	return header[:at], strings.Trim(header[at:], " \t")
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

// session checks the claims of a token with a good signature.
func (b *Bearer) session(c tokenClaims) (Session, error) {
	if c.standard.Expiry == nil { // the library would accept it forever
		return Session{}, b.reject(Invalid, "no exp")
	}
	if reason := b.wrongParty(c.standard); reason != "" {
		return Session{}, b.reject(WrongParty, reason)
	}
	expected := jwt.Expected{Time: time.Now()}
	if err := c.standard.ValidateWithLeeway(expected, maxSkew); err != nil {
		return Session{}, b.reject(kindOfTime(err), err.Error())
	}
	if _, bound := c.all["cnf"]; bound {
		// RFC 7800, 3.1; RFC 8705, 3.1; RFC 9449, 6.1.
		return Session{}, b.reject(Unsupported, "bound to a key by cnf; its proof cannot be verified")
	}
	if reason := b.wrongClient(c.standard.Audience, c.all); reason != "" {
		return Session{}, b.reject(WrongParty, reason)
	}
	id, err := userIDFrom(c.all, b.config.UserClaim)
	if err != nil {
		return Session{}, b.reject(NoUser, err.Error())
	}
	return Session{
		User:    clienttoken.User{ID: id, Claims: b.claims.apply(c.all)},
		Mode:    bearerName,
		Expires: c.standard.Expiry.Time(),
	}, nil
}

// wrongParty returns a reason if the issuer or the audience is wrong.
func (b *Bearer) wrongParty(c jwt.Claims) string {
	var reasons []string
	if c.Issuer != b.config.Issuer {
		reasons = append(reasons, fmt.Sprintf("iss is %s, expected %q", quoted([]string{c.Issuer}), b.config.Issuer))
	}
	if !c.Audience.Contains(b.config.Audience) {
		reasons = append(reasons, fmt.Sprintf("aud is [%s], expected %q", quoted(c.Audience), b.config.Audience))
	}
	return strings.Join(reasons, "; ")
}

// wrongClient returns a reason if the token was issued to an unknown client. A
// token with several audiences is also meant for others, so its client must be
// known (OpenID Connect Core, 3.1.3.7).
func (b *Bearer) wrongClient(audience jwt.Audience, claims map[string]any) string {
	if len(b.config.ClientIDs) == 0 {
		if len(audience) > 1 {
			return "several audiences, and no client is configured"
		}
		return ""
	}
	named := false
	for _, claim := range []string{"azp", "client_id"} {
		value, present := claims[claim]
		if !present {
			continue
		}
		client, _ := value.(string)
		if !slices.Contains(b.config.ClientIDs, client) {
			return fmt.Sprintf("%s %.100q is not a configured client", claim, client)
		}
		named = true
	}
	if !named {
		return "neither azp nor client_id"
	}
	return ""
}

func (b *Bearer) reject(kind RejectionKind, reason string) *Rejection {
	return &Rejection{Mode: bearerName, Kind: kind, Reason: reason, Challenge: bearerBadChallenge}
}

// cookieValues returns the distinct values of the request's cookies of one name.
func cookieValues(r *http.Request, name string) []string {
	var values []string
	for _, cookie := range r.CookiesNamed(name) {
		if !slices.Contains(values, cookie.Value) {
			values = append(values, cookie.Value)
		}
	}
	return values
}
