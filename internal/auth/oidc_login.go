package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// ProtocolError says that somebody did not keep to OpenID Connect: the browser,
// or the provider. Its Code may be shown, its Reason is for the log.
type ProtocolError struct {
	Code   string // one of a closed set: state_unknown, code_refused, …
	Reason string
}

func (e *ProtocolError) Error() string { return e.Code + ": " + e.Reason }

// AfterExchange reports whether a call to the provider's token endpoint came to
// this error.
func (e *ProtocolError) AfterExchange() bool {
	switch e.Code {
	case "code_refused", "exchange_refused", "exchange_failed", "id_token_missing", "id_token_invalid", "nonce_mismatch":
		return true
	}
	return false
}

// Login is a step of a sign-in.
type Login struct {
	// URL is where to send the browser: to the provider, or back to the
	// application.
	URL     string
	Cookies []*http.Cookie // for the browser, also when there is an error
	// ReturnTo is what the sign-in was begun with, to begin it again. It is
	// empty when nobody knows.
	ReturnTo string
	User     string // the id of the user who signed in; empty until then
	// Named is the id of the user whom a good ID token names, also when the
	// sign-in has failed.
	Named string

	key session.Key // of the session
}

// Begin begins a sign-in: it answers GET /auth/login. It tells ReturnTo also when
// there is an error, unless that is about it. The error is a
// *ProtocolError with the code return_to, a *clienttoken.Failure while the
// provider is down, or that of the request's context.
func (o *OIDC) Begin(r *http.Request) (Login, error) {
	given := r.URL.Query()["return_to"]
	if len(given) > 1 {
		return Login{}, &ProtocolError{"return_to", "return_to is given twice"}
	}
	record := newLoginRecord(strings.Join(given, ""))
	if _, err := o.targets.url(record.ReturnTo); err != nil {
		return Login{}, &ProtocolError{"return_to", err.Error()}
	}
	provider, err := o.provider.get(r.Context())
	if err != nil {
		return Login{ReturnTo: record.ReturnTo}, o.counted(err)
	}
	if key, err := o.cookies.session(r); err == nil {
		record.Replaces = key[:]
	}
	logins := o.cookies.logins(r)
	kept := o.worthKeeping(logins)
	o.settle(&record, kept)
	name := o.loginCookie(record.State)
	value, err := o.sealed(name, record)
	if err != nil {
		return Login{}, err
	}
	return Login{
		URL: o.client(provider).AuthCodeURL(record.State,
			oidc.Nonce(record.Nonce), oauth2.S256ChallengeOption(record.Verifier)),
		Cookies: append(o.superfluous(logins, append(kept, name)), o.cookies.newLogin(name, value)),
	}, nil
}

// client is the service as the provider knows it.
func (o *OIDC) client(provider metadata) *oauth2.Config {
	style := oauth2.AuthStyleInHeader // what a provider that says nothing wants (Discovery 1.0, 3)
	if methods := provider.TokenAuthMethods; len(methods) > 0 && !slices.Contains(methods, "client_secret_basic") {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID:     o.config.ClientID,
		ClientSecret: o.config.ClientSecret.Reveal(),
		Endpoint: oauth2.Endpoint{
			AuthURL: provider.AuthorizationEndpoint, TokenURL: provider.TokenEndpoint, AuthStyle: style,
		},
		RedirectURL: o.config.Origin + o.config.BasePath + "/auth/callback",
		Scopes:      o.config.Scopes,
	}
}

// Complete ends a sign-in: it answers GET /auth/callback. The error is a
// *ProtocolError, a *clienttoken.Failure while the provider or the session store
// is down, or that of the request's context.
func (o *OIDC) Complete(r *http.Request) (Login, error) {
	login, err := o.complete(r)
	return login, o.counted(err)
}

func (o *OIDC) complete(r *http.Request) (Login, error) {
	query := r.URL.Query()
	for _, parameter := range []string{"state", "code", "iss", "error"} {
		if len(query[parameter]) > 1 {
			return Login{}, &ProtocolError{"callback_malformed", parameter + " is given twice"}
		}
	}
	record, err := o.begun(r, query.Get("state"))
	if err != nil {
		return Login{}, err
	}
	login := Login{ReturnTo: record.ReturnTo}
	if login.URL, err = o.targets.url(record.ReturnTo); err != nil { // the configuration has changed since
		return login, &ProtocolError{"return_to", err.Error()}
	}
	s, err := o.redeem(r.Context(), query, record)
	if err == nil {
		login.Named = s.User.ID
		err = o.start(r.Context(), &login, s, record)
	}
	switch {
	case errors.Is(err, session.ErrUsed):
		err = &ProtocolError{"state_used", "this sign-in has started a session before"}
	case errors.Is(err, session.ErrLoggedOut):
		err = &ProtocolError{"logged_out", "the provider has logged the user out since the sign-in began"}
	}
	if _, outage := errors.AsType[*clienttoken.Failure](err); !outage && r.Context().Err() == nil {
		// After an outage the same callback may be tried again.
		login.Cookies = append(login.Cookies, o.cookies.deletedLogin(o.loginCookie(record.State)))
	}
	return login, err
}

// begun returns the record of the sign-in that state belongs to. Only the
// browser that began it has one.
func (o *OIDC) begun(r *http.Request, state string) (loginRecord, error) {
	if state == "" {
		return loginRecord{}, &ProtocolError{"callback_malformed", "no state"}
	}
	name := o.loginCookie(state)
	given := r.CookiesNamed(name)
	if len(given) != 1 {
		return loginRecord{}, &ProtocolError{"state_unknown", "this browser has begun no sign-in with this state, or has ended it"}
	}
	record, ok := o.opened(name, given[0].Value)
	if !ok {
		return loginRecord{}, &ProtocolError{"state_expired", "the sign-in began more than 10 minutes ago, or its cookie is not ours"}
	}
	if subtle.ConstantTimeCompare([]byte(record.State), []byte(state)) != 1 {
		return loginRecord{}, &ProtocolError{"state_unknown", "the sign-in has another state"}
	}
	return record, nil
}

// redeem turns the provider's answer into a session.
func (o *OIDC) redeem(ctx context.Context, query url.Values, record loginRecord) (session.Session, error) {
	provider, err := o.provider.get(ctx)
	if err != nil {
		return session.Session{}, err
	}
	// Before everything else the provider has to be the right one: a code of
	// another one must not be sent to this one (RFC 9207, 2.4).
	if iss, named := query["iss"]; named && iss[0] != o.config.Issuer || !named && provider.IssInAnswer {
		return session.Session{}, &ProtocolError{"issuer_mismatch", "the answer is not the configured issuer's, or does not say whose it is"}
	}
	if query.Has("error") {
		return session.Session{}, refusedBy(query.Get("error"))
	}
	if query.Get("code") == "" {
		return session.Session{}, &ProtocolError{"callback_malformed", "neither code nor error"}
	}
	// A code is good once. Without keys its ID token would be lost.
	if _, err := o.config.Keys.get(ctx, fromProvider); err != nil {
		return session.Session{}, err
	}
	raw, err := o.exchange(ctx, provider, query.Get("code"), record)
	var s session.Session
	if err == nil {
		s, err = o.identified(ctx, raw, record.Nonce)
	}
	if _, refused := errors.AsType[*ProtocolError](err); refused {
		o.redeemed.spend(record.State)
	}
	return s, err
}

// exchange turns a code into an ID token, as one of a bounded number of calls.
func (o *OIDC) exchange(ctx context.Context, provider metadata, code string, record loginRecord) (string, error) {
	if err := o.redeemed.enter(ctx, record.State); err != nil {
		return "", err
	}
	defer o.redeemed.leave()
	by := context.WithValue(ctx, oauth2.HTTPClient, o.http)
	token, err := o.client(provider).Exchange(by, code, oauth2.VerifierOption(record.Verifier))
	if err != nil {
		return "", exchangeError(ctx, err)
	}
	raw, _ := token.Extra("id_token").(string)
	return raw, nil
}

// refusedBy is the provider's own no. Of its words only those of the standards
// are kept: the address comes from the browser.
func refusedBy(code string) *ProtocolError {
	switch code {
	case "access_denied":
		return &ProtocolError{"access_denied", "the user or the provider said no"}
	case "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "server_error",
		"temporarily_unavailable", "interaction_required", "login_required", "account_selection_required",
		"consent_required", "invalid_request_uri", "invalid_request_object", "request_not_supported",
		"request_uri_not_supported", "registration_not_supported":
		return &ProtocolError{"provider_refused", "the provider answered " + code}
	}
	return &ProtocolError{"provider_refused", "the provider answered with an error of its own"}
}

// exchangeError tells a code that the provider did not take from a provider
// that is down. The library's own text holds the body of the answer.
func exchangeError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation, as it came
	}
	var reason string
	if answered, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := answered.Response.StatusCode
		switch {
		case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
			reason = "the token endpoint answered " + http.StatusText(status)
		case answered.ErrorCode == "invalid_grant":
			return &ProtocolError{"code_refused", "the token endpoint does not accept the code: invalid_grant"}
		default:
			return &ProtocolError{"exchange_refused", "the token endpoint answered " + http.StatusText(status) + ", and not because of the code: see AUTH_OIDC_CLIENT_ID and AUTH_OIDC_CLIENT_SECRET"}
		}
	} else if unreached, ok := errors.AsType[net.Error](err); ok {
		reason = "the token endpoint cannot be reached"
		if unreached.Timeout() {
			reason = "the token endpoint did not answer in time"
		}
	} else {
		return &ProtocolError{"exchange_failed", "the token endpoint's answer holds no tokens"}
	}
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: leastFetchWait,
		Err:        errors.New(reason),
	}
}

// counted counts how a sign-in ended, and returns err.
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
