package auth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// Logout is a session that was ended.
type Logout struct {
	// EndSessionURL is where the browser can end its session at the provider,
	// too (OpenID Connect RP-Initiated Logout 1.0). It is empty when the
	// provider has no such address, or cannot be asked for it.
	EndSessionURL string
	Cookies       []*http.Cookie // for the browser
	User          string         // the id of the user who was signed in; empty if nobody was
}

// Logout ends the session of the request: it answers POST /auth/logout. Where
// several cookies name one, all end, since the browser is told that it is over.
// Without a session there is no error. The error is a *clienttoken.Failure when
// the session store is down, or that of the request's context: then the session
// goes on, and there is no cookie. The error of [OIDCConfig.Ended] comes with the
// cookies of a session that has ended.
func (o *OIDC) Logout(r *http.Request) (Logout, error) {
	var logout Logout
	var hint clienttoken.Secret
	var unnoted error
	for _, key := range o.cookies.sessions(r) {
		ended, err := o.config.Sessions.End(r.Context(), session.Which{Key: key})
		if err != nil {
			return Logout{}, err
		}
		unnoted = cmp.Or(unnoted, o.ended(r.Context(), "logout", ended))
		for _, s := range ended {
			logout.User, hint = s.User.ID, s.IDToken
		}
	}
	logout.Cookies = []*http.Cookie{o.cookies.deletedSession()}
	if provider, err := o.provider.get(r.Context()); err == nil {
		logout.EndSessionURL = o.endSessionURL(provider.EndSessionEndpoint, hint)
	}
	return logout, unnoted
}

func (o *OIDC) endSessionURL(endpoint string, hint clienttoken.Secret) string {
	at, err := url.Parse(endpoint)
	if err != nil || at.Hostname() == "" { // or none at all
		return ""
	}
	query := at.Query()
	query.Set("client_id", o.config.ClientID)
	query.Set("post_logout_redirect_uri", o.config.Origin+"/")
	if !hint.IsZero() {
		query.Set("id_token_hint", hint.Reveal())
	}
	at.RawQuery = query.Encode()
	return at.String()
}

// Logout tokens are no older than this, so that it is enough to remember for
// session.Which.Once which have been used.
const logoutTokenLife = 10 * time.Minute

// BackChannelLogout ends the sessions that a logout token of the provider names
// (OpenID Connect Back-Channel Logout 1.0, 2.6): it answers POST
// /auth/backchannel-logout. It returns how many there were. The error is a
// *ProtocolError, a *clienttoken.Failure while keys or the session store cannot
// be had, also when it is signed by a key that may be a new one, or ctx's own:
// then the provider may send the token again.
func (o *OIDC) BackChannelLogout(ctx context.Context, raw string) (int, error) {
	const code = "logout_token_invalid"
	// Providers that are older than the type of its own name none, or "JWT"; the
	// events claim tells those from ID tokens.
	s := signature{keys: o.config.Keys, from: fromAnybody, types: []string{"logout+jwt", "jwt", ""}}
	token, err := o.verifier(&s).VerifyLogout(ctx, raw)
	if err := o.tokenError(code, s.err, err); err != nil {
		return 0, err
	}
	if age := time.Since(token.IssuedAt); age > logoutTokenLife || age < -maxSkew {
		return 0, &ProtocolError{code, "iat is not within the last 10 minutes"}
	}
	ended, err := o.config.Sessions.End(ctx, session.Which{Subject: token.Subject, SID: token.SessionID, Once: token.TokenID})
	if errors.Is(err, session.ErrUsed) {
		return 0, &ProtocolError{"logout_token_used", "a token with this jti came before"}
	}
	if err != nil {
		return 0, err
	}
	return len(ended), o.ended(ctx, "backchannel_logout", ended)
}
