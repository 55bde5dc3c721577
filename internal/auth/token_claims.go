package auth

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/go-jose/go-jose/v4/jwt"

	"dropgate/internal/clienttoken"
)

// tokenClaims is the content of a signed token.
type tokenClaims struct {
	standard jwt.Claims
	all      map[string]any
	payload  json.RawMessage // the signed bytes
}

// readClaims reads the claims of a token. The error is an invalidTokenError. It
// names a claim of a wrong type (RFC 7519, 4.1).
func readClaims(token *jwt.JSONWebToken) (tokenClaims, error) {
	var c tokenClaims
	err := token.UnsafeClaimsWithoutVerification(&c.payload)
	if err == nil {
		c.all, err = decodeObject(c.payload)
	}
	if err != nil {
		return tokenClaims{}, invalidTokenError("the claims are not a JSON object with unique members")
	}
	r := claimReader{all: c.all}
	c.standard = jwt.Claims{
		Issuer:    r.text("iss"),
		Subject:   r.subject(),
		ID:        r.text("jti"),
		Audience:  r.audience(),
		Expiry:    r.time("exp"),
		NotBefore: r.time("nbf"),
		IssuedAt:  r.time("iat"),
	}
	return c, r.err
}

// claimReader reads claims of known types. A null counts as absent.
type claimReader struct {
	all map[string]any
	err error // the first one
}

func (r *claimReader) fail(name, wanted string) {
	if r.err == nil {
		r.err = invalidTokenError(fmt.Sprintf("claim %s is %s, not %s", name, clienttoken.ClaimKind(r.all[name]), wanted))
	}
}

func (r *claimReader) text(name string) string {
	text, ok := r.all[name].(string)
	if !ok && r.all[name] != nil {
		r.fail(name, "a string")
	}
	return text
}

// subject accepts an integer, which some providers write in place of a string.
func (r *claimReader) subject() string {
	if number, ok := plain(r.all["sub"]).(string); ok && r.all["sub"] != nil {
		if _, isNumber := r.all["sub"].(json.Number); isNumber {
			return number
		}
	}
	return r.text("sub")
}

func (r *claimReader) audience() jwt.Audience {
	switch aud := r.all["aud"].(type) {
	case nil:
	case string:
		return jwt.Audience{aud}
	case []any:
		all := make(jwt.Audience, 0, len(aud))
		for _, one := range aud {
			text, ok := one.(string)
			if !ok {
				r.fail("aud", "an array of strings")
				return nil
			}
			all = append(all, text)
		}
		return all
	default:
		r.fail("aud", "a string or an array of strings")
	}
	return nil
}

// endOfTime is the year 10000, in seconds. A later time is in other units, and
// RFC 3339 cannot express it.
const endOfTime = 253402300800

func (r *claimReader) time(name string) *jwt.NumericDate {
	if r.all[name] == nil {
		return nil
	}
	number, _ := r.all[name].(json.Number)
	seconds, err := number.Float64()
	if err != nil {
		r.fail(name, "a number of seconds")
		return nil
	}
	if math.Abs(seconds) >= endOfTime {
		r.fail(name, "in seconds since 1970 and before the year 10000")
		return nil
	}
	date := jwt.NumericDate(seconds)
	return &date
}

// userIDFrom returns the user id in a token of an identity provider. The error
// is an invalidTokenError. The first source is the token.
func userIDFrom(from sources, c claim) (string, error) {
	if _, ok := from[0]["events"]; ok {
		// Only security event tokens have this claim (RFC 8417). Logout tokens
		// are such tokens, and older providers give them no typ of their own.
		return "", invalidTokenError("a security event token")
	}
	if c.namesEmail() && !isTrue(from.find(c).beside["email_verified"]) {
		// Otherwise users could enter another user's address.
		return "", invalidTokenError(c.name + " names the user, and email_verified beside it is not true")
	}
	return c.userID(from)
}

// isTrue accepts true and "true": some providers write every claim as a string.
func isTrue(value any) bool { return value == true || value == "true" }

// quoted lists texts of a token for the log, within bounds.
func quoted(texts []string) string {
	const most = 5
	var list []string
	for _, text := range texts[:min(len(texts), most)] {
		list = append(list, fmt.Sprintf("%.100q", text))
	}
	if len(texts) > most {
		list = append(list, fmt.Sprintf("and %d more", len(texts)-most))
	}
	return strings.Join(list, ", ")
}
