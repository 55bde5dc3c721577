package auth

import (
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
		if err := o.ended(r.Context(), "logout", ended); err != nil {
			unnoted = err
		}
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

// BackChannelLogout ends the sessions that a logout token of the provider names
// (OpenID Connect Back-Channel Logout 1.0, 2.6): it answers POST
// /auth/backchannel-logout. It returns how many there were. The error is a
// *ProtocolError, a *clienttoken.Failure while keys or the session store cannot
// be had, also when it is signed by a key that may be a new one, or ctx's own.
// A token that fails so is kept, takes effect as soon as it can (see Run), and may
// be sent again. from is the address of the sender.
func (o *OIDC) BackChannelLogout(ctx context.Context, from, raw string) (int, error) {
	which, err := o.readLogoutToken(raw)
	if err != nil {
		return 0, err
	}
	_, err = o.config.Keys.verify(ctx, raw, fromAnybody, logoutTypes()...)
	if errors.Is(err, errKeysNotFresh) {
		// It may be good, and the sender may have no other.
		err = o.config.Keys.outage(fromAnybody, err.Error())
	}
	if reason, ok := errors.AsType[invalid](err); ok {
		return 0, &ProtocolError{logoutInvalid, string(reason)}
	}
	ended := 0
	if err == nil {
		ended, err = o.signOut(ctx, which)
	}
	switch _, outage := errors.AsType[*clienttoken.Failure](err); {
	case outage:
		o.notices.keep(raw, from, which)
	case err == nil:
		o.notices.done(raw)
	case errors.Is(err, session.ErrUsed) && o.notices.tookEffect(raw):
		return 0, nil
	case errors.Is(err, session.ErrUsed):
		return 0, &ProtocolError{"logout_token_used", "a token with this jti came before"}
	}
	return ended, err
}

// signOut ends the sessions that a verified token names.
func (o *OIDC) signOut(ctx context.Context, which session.Which) (int, error) {
	ended, err := o.config.Sessions.End(ctx, which)
	if err != nil {
		return 0, err
	}
	return len(ended), o.ended(ctx, "backchannel_logout", ended)
}

// retryNotices is how often logout tokens are tried again that wait for the
// session store. Those that wait for a key are tried when the keys change.
const retryNotices = 5 * time.Second

// Run lets the logout tokens that were kept take effect, until ctx ends.
func (o *OIDC) Run(ctx context.Context) {
	for {
		changed := o.config.Keys.nextChange()
		if keys := o.config.Keys.current.Load(); keys != nil {
			for _, n := range o.notices.untried(keys) {
				o.catchUp(ctx, n, keys)
			}
		}
		select {
		case <-changed:
		case <-time.After(retryNotices):
		case <-ctx.Done():
			return
		}
	}
}

// catchUp lets a kept token take effect if one of the keys signed it. Its claims
// were good when it came.
func (o *OIDC) catchUp(ctx context.Context, n notice, by *keys) {
	signed, err := parseToken(n.raw, logoutTypes()...)
	if err != nil || !by.signed(signed) {
		o.notices.foreign(n.digest, by)
		return
	}
	ctx, cancel := context.WithTimeout(clienttoken.Cause{Mode: oidcName, ClientIP: n.address}.NewContext(ctx), retryNotices)
	defer cancel()
	if _, err := o.signOut(ctx, n.which); err == nil || errors.Is(err, session.ErrUsed) {
		o.notices.done(n.raw)
	}
}
