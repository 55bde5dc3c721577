package auth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"dropgate/internal/clienttoken"
)

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
	for _, required := range b.required {
		if reason := required.missing(c.all); reason != "" {
			return Session{}, b.reject(WrongParty, reason)
		}
	}
	claims := sources{c.all}
	id, err := userIDFrom(claims, b.user)
	if err != nil {
		return Session{}, b.reject(NoUser, err.Error())
	}
	return Session{
		User:    clienttoken.User{ID: id, Claims: b.claims.apply(claims)},
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
	if b.config.Audience == "" && len(c.Audience) > 0 {
		reasons = append(reasons, fmt.Sprintf("aud is [%s], expected none: set AUTH_BEARER_AUDIENCE to accept tokens with an aud", quoted(c.Audience)))
	}
	if b.config.Audience != "" && !c.Audience.Contains(b.config.Audience) {
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
	for _, claim := range []string{"azp", "client_id", "cid", "appid"} {
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
		return "no azp, client_id, cid or appid"
	}
	return ""
}

// requiredClaim is a claim that every token must have with this value.
type requiredClaim struct {
	claim claim
	value string
}

// ParseRequiredClaim checks a claim and its value, such as token_use=access. The name
// is that of ParseClaim. The value is the claim's text, one element of an array, true or
// false.
func ParseRequiredClaim(text string) error {
	_, err := parseRequiredClaim(text)
	return err
}

func parseRequiredClaim(text string) (requiredClaim, error) {
	name, value, found := strings.Cut(text, "=")
	if !found || value == "" {
		return requiredClaim{}, fmt.Errorf("%.100q is not NAME=VALUE", text)
	}
	c, err := parseClaim(name)
	if err != nil {
		return requiredClaim{}, fmt.Errorf("the name in %.100q %w", text, err)
	}
	return requiredClaim{c, value}, nil
}

func mustRequiredClaim(text string) requiredClaim {
	r, err := parseRequiredClaim(text)
	if err != nil {
		panic("auth: a required claim: " + err.Error())
	}
	return r
}

// missing returns a reason if the claim is absent or has another value.
func (r requiredClaim) missing(all map[string]any) string {
	switch value := r.claim.in(all).value.(type) {
	case nil:
		return fmt.Sprintf("no claim %s, expected %q", r.claim.name, r.value)
	case string:
		if value == r.value {
			return ""
		}
		return fmt.Sprintf("claim %s is %s, expected %q", r.claim.name, quoted([]string{value}), r.value)
	case bool:
		if strconv.FormatBool(value) == r.value {
			return ""
		}
		return fmt.Sprintf("claim %s is %t, expected %q", r.claim.name, value, r.value)
	case []any:
		if slices.Contains(value, any(r.value)) {
			return ""
		}
		return fmt.Sprintf("claim %s is an array without %q", r.claim.name, r.value)
	default:
		return fmt.Sprintf("claim %s is %s, expected %q", r.claim.name, clienttoken.ClaimKind(value), r.value)
	}
}
