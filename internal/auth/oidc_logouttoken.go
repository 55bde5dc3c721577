package auth

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

	// A logout token is valid from five minutes before its iat, since clocks
	// differ, until ten minutes after it. session.Selector.Once remembers used
	// tokens for that long.
	logoutTokenLife  = 10 * time.Minute
	logoutTokenAhead = 5 * time.Minute

	maxLogoutToken = 8 << 10 // bytes; such tokens may wait for their key

	logoutInvalid = "logout_token_invalid"
)

// logoutTypes lists the types of logout tokens. Older providers write no type, or
// "JWT". The events claim distinguishes such tokens from ID tokens.
func logoutTypes() []string { return []string{"logout+jwt", "jwt", ""} }

// readLogoutToken checks the claims of a logout token (OpenID Connect Back-Channel
// Logout 1.0, 2.4 and 2.6). It does not verify the signature. The exp claim is
// optional, as in older drafts, because iat bounds the age. The error is a
// *ProtocolError.
func (o *OIDC) readLogoutToken(raw string) (session.Selector, error) {
	invalid := func(format string, arguments ...any) (session.Selector, error) {
		return session.Selector{}, &ProtocolError{logoutInvalid, fmt.Sprintf(format, arguments...)}
	}
	if len(raw) > maxLogoutToken {
		return invalid("the token has %d bytes, above %d", len(raw), maxLogoutToken)
	}
	signed, err := parseToken(raw, logoutTypes()...)
	if err != nil {
		return invalid("%s", err)
	}
	c, err := readClaims(signed)
	if err != nil {
		return invalid("%s", err)
	}
	if c.standard.Issuer != o.config.Issuer {
		return invalid("iss is %s, expected %q", quoted([]string{c.standard.Issuer}), o.config.Issuer)
	}
	if !slices.Contains(c.standard.Audience, o.config.ClientID) {
		return invalid("aud is [%s], expected %q", quoted(c.standard.Audience), o.config.ClientID)
	}
	if reason := timeFault(c.standard, time.Now()); reason != "" {
		return invalid("%s", reason)
	}
	events, _ := c.all["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return invalid("events holds no object named %s", logoutEvent)
	}
	if _, ok := c.all["nonce"]; ok {
		return invalid("nonce is present, as in an ID token")
	}
	sid, ok := c.all["sid"].(string)
	if !ok && c.all["sid"] != nil {
		return invalid("claim sid is %s, not a string", clienttoken.ClaimKind(c.all["sid"]))
	}
	if c.standard.ID == "" || c.standard.Subject == "" && sid == "" {
		return invalid("no jti, or neither sub nor sid")
	}
	return session.Selector{Subject: c.standard.Subject, SID: sid, Once: c.standard.ID}, nil
}

// timeFault returns a reason if a logout token with these times is not valid now.
func timeFault(c jwt.Claims, now time.Time) string {
	if c.IssuedAt == nil {
		return "no iat"
	}
	if age := now.Sub(c.IssuedAt.Time()); age > logoutTokenLife || age < -logoutTokenAhead {
		return "iat is not within the last 10 minutes or the next 5"
	}
	if c.Expiry != nil && now.After(c.Expiry.Time()) {
		return "exp has passed"
	}
	if c.NotBefore != nil && c.NotBefore.Time().Sub(now) > logoutTokenAhead {
		return "nbf is more than 5 minutes ahead"
	}
	return ""
}
