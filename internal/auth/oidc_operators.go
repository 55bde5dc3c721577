package auth

import (
	"context"
	"errors"
	"net/http"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// LogoutEverywhere is like Logout, and also ends all other sessions of the same users,
// for POST /auth/logout?everywhere=true. Sign-ins under way start none.
func (o *OIDC) LogoutEverywhere(r *http.Request) (Logout, error) {
	var logout Logout
	var hint clienttoken.Secret
	var endedErr error
	for _, key := range o.cookies.sessions(r) {
		own, err := o.config.Sessions.Find(r.Context(), key, session.Peek, nil)
		if errors.Is(err, session.ErrNone) {
			continue
		} else if err != nil {
			return Logout{}, err
		}
		// One call ends this browser's session and the others, so that after an outage
		// the user can try again.
		ended, err := o.config.Sessions.End(r.Context(), session.Selector{User: own.User.ID, Subject: own.Subject})
		if err != nil {
			return Logout{}, err
		}
		if err := o.ended(r.Context(), "logout_everywhere", ended); err != nil {
			endedErr = err
		}
		logout.User, hint = own.User.ID, own.IDToken
		logout.Ended += len(ended)
	}
	return o.signedOut(r.Context(), logout, hint), endedErr
}

// ListSessions returns the sessions of a user for an operator, newest first, at most
// session.MaxListed. The error is a *clienttoken.Failure during an outage of the
// session store, or that of ctx.
func (o *OIDC) ListSessions(ctx context.Context, userID string) ([]session.Listed, error) {
	return o.config.Sessions.List(ctx, o.sessionsOf(userID))
}

// EndSessions ends all sessions of a user for an operator, and returns their number.
// Sign-ins under way start none. The error is that of ListSessions, or of
// [OIDCConfig.Ended]: the sessions have ended then.
func (o *OIDC) EndSessions(ctx context.Context, userID string) (int, error) {
	return o.endFor(ctx, o.sessionsOf(userID))
}

// EndSession is like EndSessions for one session. An unknown handle is no error.
func (o *OIDC) EndSession(ctx context.Context, handle session.Handle) (int, error) {
	return o.endFor(ctx, session.Selector{Handle: handle})
}

// sessionsOf selects the sessions of a user. If the user id is the subject, it also finds
// sessions of earlier versions, which are in no index of users.
func (o *OIDC) sessionsOf(userID string) session.Selector {
	who := session.Selector{User: o.users.Canonical(userID)}
	if o.config.UserClaim == "sub" {
		who.Subject = userID
	}
	return who
}

func (o *OIDC) endFor(ctx context.Context, which session.Selector) (int, error) {
	ended, err := o.config.Sessions.End(ctx, which)
	if err != nil {
		return 0, err
	}
	return len(ended), o.ended(ctx, "operator", ended)
}
