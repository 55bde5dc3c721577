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

// Logout is the result of a sign-out.
type Logout struct {
	// EndSessionURL is where the browser can end its session at the provider as
	// well (OpenID Connect RP-Initiated Logout 1.0). It is empty if the provider
	// has no such endpoint, or is down.
	EndSessionURL string
	Cookies       []*http.Cookie // for the browser
	User          string         // the id of the user; empty if there was no session
	Ended         int            // sessions
}

// Logout ends the sessions in the request's cookies, for POST /auth/logout. A
// request without a session succeeds. The error is a *clienttoken.Failure during
// an outage of the session store, or that of the request's context. The session
// then continues, and there are no cookies. An error of [OIDCConfig.Ended] comes
// with cookies, since the session has ended.
func (o *OIDC) Logout(r *http.Request) (Logout, error) {
	var logout Logout
	var hint clienttoken.Secret
	var endedErr error
	for _, key := range o.cookies.sessions(r) {
		ended, err := o.config.Sessions.End(r.Context(), session.Selector{Key: key})
		if err != nil {
			return Logout{}, err
		}
		if err := o.ended(r.Context(), "logout", ended); err != nil {
			endedErr = err
		}
		for _, s := range ended {
			logout.User, hint = s.User.ID, s.IDToken
		}
		logout.Ended += len(ended)
	}
	return o.signedOut(r.Context(), logout, hint), endedErr
}

// signedOut adds what the browser needs after the end of its session.
func (o *OIDC) signedOut(ctx context.Context, logout Logout, hint clienttoken.Secret) Logout {
	logout.Cookies = []*http.Cookie{o.cookies.deletedSession()}
	if provider, err := o.config.Keys.metadata.get(ctx); err == nil {
		logout.EndSessionURL = o.endSessionURL(provider.EndSessionEndpoint, hint)
	}
	return logout
}

func (o *OIDC) endSessionURL(endpoint string, hint clienttoken.Secret) string {
	at, err := url.Parse(endpoint)
	if err != nil || at.Hostname() == "" { // or the endpoint is empty
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

// BackChannelLogout ends the sessions of a logout token (OpenID Connect
// Back-Channel Logout 1.0, 2.6), for POST /auth/backchannel-logout. It returns the
// number of sessions. from is the sender's address.
//
// The error is a *ProtocolError, ctx's own, or a *clienttoken.Failure. The last
// means an outage of the session store, or a key that may be new. The provider may
// send such a token again. In any case Run retries it.
func (o *OIDC) BackChannelLogout(ctx context.Context, from, raw string) (int, error) {
	which, err := o.readLogoutToken(raw)
	if err != nil {
		return 0, err
	}
	_, err = o.config.Keys.verify(ctx, raw, fromAnyone, logoutTypes()...)
	if errors.Is(err, errKeysNotFresh) {
		// The token may be good, and the provider may never send it again.
		err = o.config.Keys.unavailable(fromAnyone, err.Error())
	}
	if reason, ok := errors.AsType[invalidTokenError](err); ok {
		return 0, &ProtocolError{logoutInvalid, string(reason)}
	}
	ended := 0
	if err == nil {
		ended, err = o.signOut(ctx, which)
	}
	switch _, outage := errors.AsType[*clienttoken.Failure](err); {
	case outage:
		o.pendingLogouts.add(raw, from, which)
	case err == nil:
		o.pendingLogouts.markDone(raw)
	case errors.Is(err, session.ErrUsed) && o.pendingLogouts.isDone(raw):
		return 0, nil
	case errors.Is(err, session.ErrUsed):
		return 0, &ProtocolError{"logout_token_used", "a token with this jti was used before"}
	}
	return ended, err
}

// signOut ends the sessions of a verified token.
func (o *OIDC) signOut(ctx context.Context, which session.Selector) (int, error) {
	ended, err := o.config.Sessions.End(ctx, which)
	if err != nil {
		return 0, err
	}
	return len(ended), o.ended(ctx, "backchannel_logout", ended)
}

// logoutRetryInterval is how often Run retries logout tokens after an outage of
// the session store. Tokens with an unknown key wait until the keys change.
const logoutRetryInterval = 5 * time.Second

// Run retries pending logout tokens until ctx ends.
func (o *OIDC) Run(ctx context.Context) {
	for {
		changed := o.config.Keys.nextChange()
		if keys := o.config.Keys.current.Load(); keys != nil {
			for _, p := range o.pendingLogouts.due(keys) {
				o.retryLogout(ctx, p, keys)
			}
		}
		select {
		case <-changed:
		case <-time.After(logoutRetryInterval):
		case <-ctx.Done():
			return
		}
	}
}

// retryLogout carries out a pending logout token if one of the keys signed it. Its
// claims were valid on arrival.
func (o *OIDC) retryLogout(ctx context.Context, p pendingLogout, keys *publicKeys) {
	signed, err := parseToken(p.raw, logoutTypes()...)
	if err != nil || !keys.verify(signed) {
		o.pendingLogouts.markForeign(p.digest, keys)
		return
	}
	ctx, cancel := context.WithTimeout(clienttoken.Cause{Mode: oidcName, ClientIP: p.address}.NewContext(ctx), logoutRetryInterval)
	defer cancel()
	if _, err := o.signOut(ctx, p.which); err == nil || errors.Is(err, session.ErrUsed) {
		o.pendingLogouts.markDone(p.raw)
	}
}
