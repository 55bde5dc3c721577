package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
)

// redeem exchanges the provider's answer for a session.
func (o *OIDC) redeem(ctx context.Context, query url.Values, record loginRecord) (session.Stored, error) {
	provider, err := o.config.Keys.metadata.get(ctx)
	if err != nil {
		return session.Stored{}, err
	}
	// The issuer comes first: another provider's code must not be sent to this
	// one (RFC 9207, 2.4).
	if iss, named := query["iss"]; named && iss[0] != o.config.Issuer || !named && provider.IssInAnswer {
		return session.Stored{}, &ProtocolError{"issuer_mismatch", fmt.Sprintf("the answer's iss is %s, expected %q", quoted(iss), o.config.Issuer)}
	}
	if query.Has("error") {
		return session.Stored{}, o.refusal(query)
	}
	if query.Get("code") == "" {
		return session.Stored{}, &ProtocolError{"callback_malformed", "neither code nor error"}
	}
	// A code works once. Without keys its ID token would be wasted.
	if _, err := o.config.Keys.ready(ctx, fromProvider); err != nil {
		return session.Stored{}, err
	}
	t, err := o.exchange(ctx, provider, query.Get("code"), record)
	var s session.Stored
	if err == nil {
		s, err = o.identify(ctx, provider, t, record.Nonce)
	}
	if _, refused := errors.AsType[*ProtocolError](err); refused {
		o.exchanges.exhaust(record.State)
	}
	return s, err
}

// exchange exchanges a code for tokens, within the limits on such calls.
func (o *OIDC) exchange(ctx context.Context, provider providerMetadata, code string, record loginRecord) (tokens, error) {
	if err := o.exchanges.enter(ctx, record.State); err != nil {
		return tokens{}, err
	}
	defer o.exchanges.leave()
	ctx, span := tracing.StartCall(ctx, "code exchange")
	defer span.End()
	withClient := context.WithValue(ctx, oauth2.HTTPClient, o.http)
	auth := o.clientAuth(provider)
	token, err := tryEach(o, auth, func(c credentialOfClient) (*oauth2.Token, error) {
		fields, err := o.assertion(provider, c)
		if err != nil {
			return nil, err
		}
		options := []oauth2.AuthCodeOption{oauth2.VerifierOption(record.Verifier)}
		for name := range fields {
			options = append(options, oauth2.SetAuthURLParam(name, fields.Get(name)))
		}
		return o.oauthClient(provider, auth, c).Exchange(withClient, code, options...)
	})
	if err != nil {
		span.Fail("failed")
		return tokens{}, o.exchangeError(ctx, err, code, record.Verifier)
	}
	id, _ := token.Extra("id_token").(string)
	return tokens{id: id, access: token.AccessToken}, nil
}

// refusesClient reports whether the provider does not accept the credential that it got.
func refusesClient(err error) bool {
	if _, ok := errors.AsType[*clientRefusedError](err); ok {
		return true
	}
	answered, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && (answered.ErrorCode == "invalid_client" || answered.Response.StatusCode == http.StatusUnauthorized)
}

// exchangeError distinguishes a refused code from an outage. It replaces the
// library's error, since that quotes the body of the answer.
func (o *OIDC) exchangeError(ctx context.Context, err error, secrets ...string) error {
	if ctx.Err() != nil {
		return ctx.Err() //nolint:wrapcheck // the caller's own cancellation
	}
	if wrong, ok := errors.AsType[*ProtocolError](err); ok {
		return wrong
	}
	var reason string
	if answered, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := answered.Response.StatusCode
		reason = o.answered(fmt.Sprintf("the token endpoint answered %d", status), errorAnswer{answered.ErrorCode, answered.ErrorDescription}, secrets...)
		switch {
		case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		case answered.ErrorCode == "invalid_grant":
			return &ProtocolError{"code_refused", "the code was not accepted: " + reason}
		case answered.ErrorCode == "":
			return &ProtocolError{"exchange_refused", reason + ", and the code is not the cause: " + wrongClient}
		default:
			return &ProtocolError{"exchange_refused", reason}
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
		RetryAfter: minBackOff,
		Err:        errors.New(reason),
	}
}
