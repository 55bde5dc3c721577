package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
)

// userinfo asks the provider for the claims of a user (OpenID Connect Core 1.0, 5.3).
// They count only for the subject of the ID token. The error is a *ProtocolError, or a
// *clienttoken.Failure during an outage.
func (o *OIDC) userinfo(ctx context.Context, endpoint, accessToken, subject string) (map[string]any, error) {
	if err := o.exchanges.enterUserinfo(ctx); err != nil {
		return nil, err
	}
	defer o.exchanges.leave()
	ctx, span := tracing.StartCall(ctx, "userinfo")
	defer span.End()
	claims, err := o.askUserinfo(ctx, endpoint, accessToken)
	if err != nil {
		span.Fail("failed")
		return nil, err
	}
	if claims["sub"] != subject {
		return nil, &ProtocolError{"exchange_failed", "the userinfo endpoint names another sub than the ID token"}
	}
	return claims, nil
}

func (o *OIDC) askUserinfo(ctx context.Context, endpoint, accessToken string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		return nil, userinfoFails("its address is malformed")
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	req.Header.Set("Accept", "application/json")
	resp, err := o.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err() //nolint:wrapcheck // the caller's own cancellation
		}
		return nil, userinfoUnavailable("cannot be reached")
	}
	defer func() { _ = resp.Body.Close() }()
	said := o.answered(fmt.Sprintf("answered %d", resp.StatusCode), errorOf(resp), accessToken)
	switch {
	case resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests:
		return nil, userinfoUnavailable(said)
	case resp.StatusCode != http.StatusOK:
		return nil, userinfoFails("it " + said)
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "application/jwt" {
		return nil, userinfoFails("it signs its answer: let the provider answer with plain JSON")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, userinfoUnavailable("broke off its answer")
	}
	claims, err := decodeObject(body)
	if err != nil || len(body) > maxDocument {
		return nil, userinfoFails(fmt.Sprintf("its answer is not a JSON object of at most %d bytes", maxDocument))
	}
	return claims, nil
}

func userinfoFails(reason string) *ProtocolError {
	return &ProtocolError{"exchange_failed", "the userinfo endpoint: " + reason}
}

func userinfoUnavailable(what string) *clienttoken.Failure {
	return unavailable("the userinfo endpoint " + what)
}

// errorOf returns the account of an error of the userinfo endpoint. It is in a header
// (RFC 6750, 3), and with some providers in the body.
func errorOf(resp *http.Response) errorAnswer {
	if resp.StatusCode == http.StatusOK {
		return errorAnswer{}
	}
	challenge := resp.Header.Get("WWW-Authenticate")
	answer := errorAnswer{parameterOf(challenge, "error"), parameterOf(challenge, "error_description")}
	if answer.Code == "" {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
		if err != nil || json.Unmarshal(body, &answer) != nil {
			return errorAnswer{}
		}
	}
	return answer
}

// parameterOf returns a parameter of a challenge, or "".
func parameterOf(challenge, name string) string {
	found := regexp.MustCompile(`(?:^|[\s,])` + name + `="((?:[^"\\]|\\.)*)"`).FindStringSubmatch(challenge)
	if found == nil {
		return ""
	}
	return strings.ReplaceAll(found[1], `\`, "")
}
