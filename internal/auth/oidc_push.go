package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
)

// push sends the parameters of a sign-in to the provider, and returns the short URL for
// the browser (RFC 9126). The error is a *ProtocolError, or a *clienttoken.Failure
// during an outage.
func (o *OIDC) push(ctx context.Context, provider providerMetadata, parameters url.Values) (string, error) {
	if err := o.pushes.admit(ctx); err != nil {
		return "", tooBusy(ctx, err)
	}
	defer o.pushes.leave()
	ctx, span := tracing.StartCall(ctx, "pushed authorization request")
	defer span.End()
	auth := o.clientAuth(provider)
	uri, err := tryEach(o, auth, func(c credentialOfClient) (string, error) {
		r := formRequest{maps.Clone(parameters), http.Header{}}
		if err := o.authenticate(provider, auth, c, r); err != nil {
			return "", err
		}
		return o.sendPush(ctx, provider.PushEndpoint, r)
	})
	if err != nil {
		span.Fail("failed")
		if refused, ok := errors.AsType[*clientRefusedError](err); ok {
			err = &ProtocolError{"exchange_refused", refused.Error()}
		}
		return "", err
	}
	at, err := url.Parse(provider.AuthorizationEndpoint)
	if err != nil {
		return "", &ProtocolError{"provider_refused", "the provider's authorization_endpoint is malformed"}
	}
	query := at.Query()
	query.Set("client_id", o.config.ClientID)
	query.Set("request_uri", uri)
	at.RawQuery = query.Encode()
	return at.String(), nil
}

// sendPush sends one request, and returns its request_uri.
func (o *OIDC) sendPush(ctx context.Context, endpoint string, r formRequest) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(r.form.Encode()))
	if err != nil {
		return "", &ProtocolError{"provider_refused", "the provider's pushed_authorization_request_endpoint is malformed"}
	}
	req.Header = r.header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := o.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err() //nolint:wrapcheck // the caller's own cancellation
		}
		return "", pushUnavailable("cannot be reached")
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		errorAnswer
		URI string `json:"request_uri"`
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err != nil {
		return "", pushUnavailable("broke off its answer")
	}
	malformed := json.Unmarshal(body, &answer) != nil
	reason := o.answered(fmt.Sprintf("the pushed authorization request was answered %d", resp.StatusCode), answer.errorAnswer, r.secrets()...)
	switch {
	case resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests:
		return "", unavailable(reason)
	case resp.StatusCode == http.StatusUnauthorized || answer.Code == "invalid_client":
		if answer.Code == "" {
			reason += "; " + wrongClient
		}
		return "", &clientRefusedError{reason}
	case resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK:
		return "", &ProtocolError{"provider_refused", reason + "; AUTH_OIDC_PAR=off sends the browser with all parameters"}
	case malformed || answer.URI == "" || len(answer.URI) > maxURL:
		return "", &ProtocolError{"provider_refused", "the answer to the pushed authorization request has no request_uri"}
	}
	return answer.URI, nil
}

func pushUnavailable(what string) *clienttoken.Failure {
	return unavailable("the endpoint for pushed authorization requests " + what)
}

// unavailable is the failure of one of the provider's endpoints.
func unavailable(reason string) *clienttoken.Failure {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: minBackOff, Err: errors.New(reason)}
}

// secrets returns the values of the request that no log may show.
func (r formRequest) secrets() []string {
	_, sent, _ := strings.Cut(r.header.Get("Authorization"), " ")
	all := []string{sent}
	for _, name := range []string{"state", "nonce", "code_challenge", "client_secret", "client_assertion"} {
		all = append(all, r.form.Get(name))
	}
	return all
}

// clientRefusedError reports that the provider does not accept the service's credential.
type clientRefusedError struct{ reason string }

func (e *clientRefusedError) Error() string { return e.reason }
