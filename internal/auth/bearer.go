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

// BearerConfig says which JSON Web Tokens are good.
type BearerConfig struct {
	Issuer   string // must be the token's iss
	Audience string // must be among the token's aud
	// Cookie names a cookie that may hold the token; empty: only the
	// Authorization header is read.
	Cookie string
	// TokenType, when it is "at+jwt", demands an access token in the sense of
	// RFC 9068, so that an ID token is refused. Empty accepts "JWT" and no typ
	// as well, since most providers issue such access tokens.
	TokenType string
	// ClientIDs are the OAuth clients whose tokens count: the token's azp and
	// client_id, as far as it has them, must be among them and it must have
	// one. Empty: tokens of any client, but none with several audiences.
	ClientIDs []string
	// UserClaim names the claim that holds the user's id.
	// With "email", email_verified has to be true.
	UserClaim string
	// Claims are the names of other claims that a session keeps.
	Claims []string
	Keys   *KeySet
}

// Bearer is the mode for applications whose pages hold a JSON Web Token of the
// application's identity provider, in the Authorization header or a cookie.
type Bearer struct {
	config   BearerConfig
	kept     keptClaims
	verified *verifiedTokens
}

// NewBearer returns the mode. It panics without an issuer, an audience and a
// user claim: an empty one would match tokens that it should not.
func NewBearer(c BearerConfig) *Bearer {
	if c.Issuer == "" || c.Audience == "" || c.UserClaim == "" {
		panic("auth: bearer mode without issuer, audience or user claim")
	}
	return &Bearer{config: c, kept: newKeptClaims(c.UserClaim, c.Claims), verified: newVerifiedTokens()}
}

// Name returns "bearer".
func (b *Bearer) Name() string { return bearerName }

// maxSkew is how far the provider's clock and ours may differ.
const maxSkew = time.Minute

// Authenticate verifies the token of the request, if it has one. With a token in
// the Authorization header and another one in the cookie, the header's counts,
// unless the other one is good for a different user. A token that was verified a
// moment ago is not verified again (docs/decisions/0004).
func (b *Bearer) Authenticate(r *http.Request, _ *ratelimit.Charge) (Session, error) {
	var room [1 + maxTokenCookies]credential // for the usual request: on the stack
	given, err := b.credentials(r, room[:0])
	if err != nil {
		return Session{}, err
	}
	first, err := b.authenticate(r.Context(), given[0])
	if err != nil {
		return Session{}, err
	}
	for _, other := range given[1:] {
		second, err := b.authenticate(r.Context(), other)
		if _, bad := errors.AsType[*Rejection](err); bad {
			continue // it names nobody
		}
		if err != nil {
			return Session{}, err
		}
		if second.User.ID != first.User.ID {
			return Session{}, b.reject("the Authorization header and the cookie name different users")
		}
	}
	return first, nil
}

func (b *Bearer) authenticate(ctx context.Context, given credential) (Session, error) {
	digest := sha256.Sum256([]byte(given.token))
	session, known := b.verified.get(digest, b.config.Keys.current.Load())
	if !known {
		verified, err := b.verify(ctx, given.token)
		if err != nil {
			return Session{}, err
		}
		b.verified.add(digest, verified)
		session = verified.session
	}
	session.ByCookie = given.byCookie
	return session, nil
}

type credential struct {
	token    string
	byCookie bool
}

// credentials finds the tokens: in the Authorization header, and then in the
// cookie, where the same value counts once. Without the header several values
// are refused: nothing says which one was meant. The tokens are appended to given.
func (b *Bearer) credentials(r *http.Request, given []credential) ([]credential, error) {
	given, err := b.inHeader(r.Header["Authorization"], given)
	if err != nil {
		return nil, err
	}
	if b.config.Cookie != "" {
		cookies := cookieValues(r, b.config.Cookie)
		if len(given) == 0 && len(cookies) > 1 || len(cookies) > maxTokenCookies {
			return nil, b.reject("several cookies named " + b.config.Cookie)
		}
		for _, value := range cookies {
			if len(given) == 0 || value != given[0].token {
				given = append(given, credential{token: value, byCookie: true})
			}
		}
	}
	if len(given) == 0 {
		return nil, errNotMine
	}
	return given, nil
}

// inHeader appends the token in the Authorization header to given.
func (b *Bearer) inHeader(headers []string, given []credential) ([]credential, error) {
	if len(headers) == 0 {
		return given, nil
	}
	if len(headers) > 1 {
		return nil, b.reject("several Authorization headers")
	}
	scheme, token := cutScheme(headers[0])
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return append(given, credential{token: token}), nil
	case strings.EqualFold(scheme, "DPoP"):
		return nil, b.reject("a DPoP token, and nothing here verifies its proof")
	}
	return given, nil
}

// bearerReads reports whether an Authorization header is a credential of this mode.
func bearerReads(header string) bool {
	scheme, _ := cutScheme(header)
	return strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")
}

// maxTokenCookies bounds the tokens of one request that are verified beside the
// one in the header.
const maxTokenCookies = 2

// cutScheme splits an Authorization header at its first space or tab.
func cutScheme(header string) (scheme, rest string) {
	at := strings.IndexAny(header, " \t")
	if at < 0 {
		return header, ""
	}
	return header[:at], strings.Trim(header[at:], " \t")
}

// verify checks the token from the outside in.
func (b *Bearer) verify(ctx context.Context, token string) (verifiedToken, error) {
	types := []string{"at+jwt"}
	if b.config.TokenType == "" {
		types = append(types, "jwt", "")
	}
	v, err := b.config.Keys.verify(ctx, token, fromAnybody, types...)
	if _, ok := errors.AsType[invalid](err); ok || errors.Is(err, errKeysNotFresh) {
		// Who can name any key must not be told of an outage that is none.
		return verifiedToken{}, b.reject(err.Error())
	} else if err != nil {
		return verifiedToken{}, err
	}
	session, err := b.session(v.claims)
	return verifiedToken{session, v.keys.generation}, err
}

// session checks what a token with a good signature says.
func (b *Bearer) session(c claims) (Session, error) {
	if c.standard.Expiry == nil { // which the library takes for "never expires"
		return Session{}, b.reject("no exp")
	}
	if reason := b.wrongParty(c.standard); reason != "" {
		return Session{}, b.reject(reason)
	}
	expected := jwt.Expected{Time: time.Now()}
	if err := c.standard.ValidateWithLeeway(expected, maxSkew); err != nil {
		return Session{}, b.reject(err.Error())
	}
	if _, bound := c.all["cnf"]; bound {
		// RFC 7800, 3.1; RFC 8705, 3.1; RFC 9449, 6.1.
		return Session{}, b.reject("bound to a key by cnf, and nothing here verifies the proof")
	}
	if reason := b.wrongClient(c.standard.Audience, c.all); reason != "" {
		return Session{}, b.reject(reason)
	}
	id, err := userOf(c.all, b.config.UserClaim)
	if err != nil {
		return Session{}, b.reject(err.Error())
	}
	return Session{
		User:    clienttoken.User{ID: id, Claims: b.kept.of(c.all)},
		Mode:    bearerName,
		Expires: c.standard.Expiry.Time(),
	}, nil
}

// wrongParty says whose token it is, and for whom, where one of the two is wrong.
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

// wrongClient refuses tokens that were issued to a client that nobody named.
// A token with several audiences was meant for others too: it counts only when
// the client that it was issued to is known (OpenID Connect Core, 3.1.3.7).
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

func (b *Bearer) reject(reason string) *Rejection {
	return &Rejection{Mode: bearerName, Reason: reason, Challenge: bearerBadChallenge}
}

// userOf returns the id of the user whom a token of an identity provider names.
// The error is invalid.
func userOf(claims map[string]any, claim string) (string, error) {
	if _, ok := claims["events"]; ok {
		// Only security event tokens have it, logout tokens among them, and
		// older providers give those no typ of their own (RFC 8417).
		return "", invalid("a security event token")
	}
	if claim == "email" && claims["email_verified"] != true {
		// Whoever may type any address would choose who to be.
		return "", invalid("email names the user, and email_verified is not true")
	}
	id, _ := claims[claim].(string)
	if !clienttoken.ValidUserID(id) {
		return "", invalid("claim " + claim + " is not a user id of 1 to 255 printable characters")
	}
	return id, nil
}
