package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// ProtocolError reports a violation of OpenID Connect by the browser or the
// provider. Users may see the Code. The Reason is for the log.
type ProtocolError struct {
	Code   string // one of a closed set: state_unknown, code_refused, …
	Reason string
}

func (e *ProtocolError) Error() string { return e.Code + ": " + e.Reason }

// AfterExchange reports whether the error came after a call to the provider's
// token endpoint.
func (e *ProtocolError) AfterExchange() bool {
	switch e.Code {
	case "code_refused", "exchange_refused", "exchange_failed", "id_token_missing", "id_token_invalid", "nonce_mismatch":
		return true
	}
	return false
}

// Login is a step of a sign-in.
type Login struct {
	// URL is the browser's next page, at the provider or the application.
	URL     string
	Cookies []*http.Cookie // for the browser, even with an error
	// ReturnTo is the return_to of this sign-in, for another attempt. It is empty
	// if unknown.
	ReturnTo string
	// Ignored says, for the log, why the given return_to does not count. It is empty
	// if it does.
	Ignored string
	User    string // the id of the signed-in user; empty until then
	// LoadAgain is true if the browser must load the callback again, from a page of
	// ours. The sign-in is not complete, and the login has only cookies and ReturnTo.
	LoadAgain bool
	// Repeated is true for a callback whose sign-in is over. The browser's session is
	// good, and continues.
	Repeated bool
	// Named is the user id in a good ID token, even if the sign-in failed.
	Named string

	key session.Key // of the session
}

// Begin starts a sign-in, for GET /auth/login. A return_to that is not allowed counts
// as none. The error is a *ProtocolError with the code return_to for a malformed
// parameter, a *clienttoken.Failure during an outage of the provider, or that of the
// request's context.
func (o *OIDC) Begin(r *http.Request) (Login, error) {
	to := o.targets.choose(r.URL.Query()["return_to"]...)
	login, err := o.begin(r, newLoginRecord(to.returnTo))
	login.ReturnTo, login.Ignored = to.returnTo, to.ignored
	return login, err
}

func (o *OIDC) begin(r *http.Request, record loginRecord) (Login, error) {
	parameters, err := o.parameters(r)
	if err != nil {
		return Login{}, err
	}
	provider, err := o.config.Keys.metadata.get(r.Context())
	if err != nil {
		return Login{}, o.counted(err)
	}
	if key, err := o.cookies.session(r); err == nil {
		record.Replaces = key[:]
	}
	logins := o.cookies.logins(r)
	kept := o.loginsToKeep(logins)
	o.avoidSlots(&record, kept)
	name := o.loginCookieName(record.State)
	value, err := o.seal(name, record)
	if err != nil {
		return Login{}, err
	}
	to, err := o.authorizationURL(r.Context(), provider, parameters, record)
	if err != nil {
		return Login{}, o.counted(err)
	}
	return Login{
		URL:     to,
		Cookies: append(o.deleteLoginsExcept(logins, append(kept, name)), o.cookies.newLogin(name, value)),
	}, nil
}

// authorizationURL returns the browser's page at the provider.
func (o *OIDC) authorizationURL(ctx context.Context, provider providerMetadata, parameters url.Values, record loginRecord) (string, error) {
	options := []oauth2.AuthCodeOption{oidc.Nonce(record.Nonce), oauth2.S256ChallengeOption(record.Verifier)}
	for name := range parameters {
		options = append(options, oauth2.SetAuthURLParam(name, parameters.Get(name)))
	}
	whole := o.oauthClient(provider, "", credentialOfClient{}).AuthCodeURL(record.State, options...)
	if provider.PushEndpoint == "" || o.config.NoPush {
		return whole, nil
	}
	at, err := url.Parse(whole)
	if err != nil {
		return "", &ProtocolError{"provider_refused", "the provider's authorization_endpoint is malformed"}
	}
	return o.push(ctx, provider, at.Query())
}

// Complete completes a sign-in, for GET /auth/callback. The first call of each
// sign-in only sets LoadAgain: browsers send no Strict cookie on the way back from
// a provider on another site (docs/decisions/0021). The error is a *ProtocolError, a
// *clienttoken.Failure during an outage of the provider or the session store, or
// that of the request's context.
func (o *OIDC) Complete(r *http.Request) (Login, error) {
	login, err := o.complete(r)
	if login.LoadAgain {
		return login, err
	}
	if repeated, ok := o.repeated(r, login, err); ok {
		return repeated, nil
	}
	return login, o.counted(err)
}

func (o *OIDC) complete(r *http.Request) (Login, error) {
	query := r.URL.Query()
	for _, parameter := range []string{"state", "code", "iss", "error"} {
		if len(query[parameter]) > 1 {
			return Login{}, &ProtocolError{"callback_malformed", parameter + " is given twice"}
		}
	}
	record, err := o.pendingLogin(r, query.Get("state"))
	if err != nil {
		return Login{ReturnTo: o.targets.choose(record.ReturnTo).returnTo}, err
	}
	if !record.Returned {
		return o.askToLoadAgain(record)
	}
	to := o.targets.choose(record.ReturnTo) // the configuration may have changed
	login := Login{URL: to.url, ReturnTo: to.returnTo, Ignored: to.ignored}
	if key, err := o.cookies.session(r); err == nil {
		record.Replaces = key[:] // newer than that of Begin, or unknown to it
	}
	s, err := o.redeem(r.Context(), query, record)
	if err == nil {
		login.Named = s.User.ID
		err = o.start(r.Context(), &login, s, record)
	}
	switch {
	case errors.Is(err, session.ErrUsed):
		err = &ProtocolError{"state_used", "this sign-in has already started a session"}
	case errors.Is(err, session.ErrLoggedOut):
		err = &ProtocolError{"logged_out", "the provider has logged the user out since the sign-in began"}
	}
	_, outage := errors.AsType[*clienttoken.Failure](err)
	if (!outage || errors.Is(err, errSignInOver)) && r.Context().Err() == nil {
		// After an outage the browser may repeat the callback.
		login.Cookies = append(login.Cookies, o.cookies.deletedLogin(o.loginCookieName(record.State)))
	}
	return login, err
}

// askToLoadAgain notes in the cookie that the browser has returned.
func (o *OIDC) askToLoadAgain(record loginRecord) (Login, error) {
	record.Returned = true
	name := o.loginCookieName(record.State)
	value, err := o.seal(name, record)
	if err != nil {
		return Login{ReturnTo: record.ReturnTo}, err
	}
	return Login{ReturnTo: record.ReturnTo, LoadAgain: true, Cookies: []*http.Cookie{o.cookies.newLogin(name, value)}}, nil
}

// pendingLogin returns the record of the sign-in with this state, even with the error
// for one that is too old. Only the browser that started it has the record.
func (o *OIDC) pendingLogin(r *http.Request, state string) (loginRecord, error) {
	if state == "" {
		return loginRecord{}, &ProtocolError{"callback_malformed", "no state"}
	}
	name := o.loginCookieName(state)
	given := r.CookiesNamed(name)
	if len(given) != 1 {
		return loginRecord{}, &ProtocolError{"state_unknown", "this browser has no pending sign-in with this state"}
	}
	record, ok := o.unseal(name, given[0].Value)
	if !ok {
		return loginRecord{}, &ProtocolError{"state_expired", "the cookie of the sign-in is not ours"}
	}
	if subtle.ConstantTimeCompare([]byte(record.State), []byte(state)) != 1 {
		return loginRecord{}, &ProtocolError{"state_unknown", "the pending sign-in has a different state"}
	}
	if record.expired() {
		return record, &ProtocolError{"state_expired", "the sign-in started more than 10 minutes ago"}
	}
	return record, nil
}

// counted counts the outcome of a sign-in, and returns err.
func (o *OIDC) counted(err error) error {
	outcome, reason := "failed", "unavailable"
	switch wrong, ok := errors.AsType[*ProtocolError](err); {
	case err == nil:
		outcome, reason = "succeeded", "none"
	case ok:
		reason = wrong.Code
	case errors.Is(err, context.Canceled):
		reason = "canceled"
	}
	o.metrics.logins.WithLabelValues(outcome, reason).Inc()
	return err
}
