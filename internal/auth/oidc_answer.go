package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"dropgate/internal/clienttoken"
)

// errorAnswer is the provider's account of an error (RFC 6749, 4.1.2.1 and 5.2). In the
// answer to an authorization request it comes from the browser, so it may be anybody's
// text.
type errorAnswer struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// The bounds of an errorAnswer in the log, in bytes.
const (
	maxErrorCode        = 80
	maxErrorDescription = 300
)

// told returns the answer for the log: quoted, cut and without secrets. It is empty if
// the provider gave no account.
func (o *OIDC) told(answer errorAnswer, secrets ...string) string {
	if answer.Code == "" && answer.Description == "" {
		return ""
	}
	secrets = append(secrets, o.secretTexts()...)
	text := fmt.Sprintf("error %s", o.shown(answer.Code, maxErrorCode, secrets))
	if answer.Description != "" {
		text += ", error_description " + o.shown(answer.Description, maxErrorDescription, secrets)
	}
	return text
}

// removed stands for a secret, or for a text that could be one.
const removed = "[removed]"

// shown quotes a text for the log. The cut comes last: a part of a secret would look
// harmless.
func (o *OIDC) shown(text string, most int, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, removed)
		}
	}
	text = o.withoutTokens(text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}

// withoutTokens removes what looks like a token, a key or a code.
func (o *OIDC) withoutTokens(text string) string {
	return regexp.MustCompile(`[A-Za-z0-9+/_=~.%:-]{16,}`).ReplaceAllStringFunc(text, func(run string) string {
		if namesError(run) || o.isPublic(run) {
			return run
		}
		return removed
	})
}

// namesError reports whether a long run is words such as unsupported_response_type.
func namesError(run string) bool {
	return len(run) <= 40 && regexp.MustCompile(`^[a-z]{1,14}(_[a-z]{1,14})+[.:]?$`).MatchString(run)
}

// isPublic reports whether a run is one of the client's public settings, or a parameter
// with it.
func (o *OIDC) isPublic(run string) bool {
	public := []string{o.redirectURL(), o.config.Issuer, o.config.ClientID}
	run = strings.TrimRight(run, ".:")
	_, value, _ := strings.Cut(run, "=")
	return slices.Contains(public, run) || slices.Contains(public, value)
}

// secretTexts returns the client's secrets, in each form that a request has them.
func (o *OIDC) secretTexts() []string {
	var texts []string
	for _, secret := range o.secret.Values() {
		_, sent, _ := strings.Cut(basic(o.config.ClientID, secret), " ")
		plain := secret.Reveal()
		texts = append(texts, sent, plain, url.QueryEscape(plain), url.PathEscape(plain), base64.StdEncoding.EncodeToString([]byte(plain)))
	}
	return texts
}

// answered appends the provider's account and its remedy to a reason.
func (o *OIDC) answered(reason string, answer errorAnswer, secrets ...string) string {
	if told := o.told(answer, secrets...); told != "" {
		reason += ": " + told
	}
	if remedy := o.remedy(answer); remedy != "" {
		reason += "; " + remedy
	}
	return reason
}

// remedy names the setting at fault, if the provider's answer says so.
func (o *OIDC) remedy(answer errorAnswer) string {
	code, text := strings.ToLower(answer.Code), strings.ToLower(answer.Description)
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	}
	redirect := "register the redirect URI " + o.redirectURL() + " at the provider (from PUBLIC_URL and BASE_PATH)"
	switch code {
	case "redirect_uri_mismatch", "invalid_redirect_uri":
		return redirect
	case "invalid_client", "unauthorized_client":
		if says("redirect") {
			return redirect
		}
		return clientRemedy(code, says)
	case "invalid_grant", "invalid_request":
		switch {
		case says("redirect"):
			return redirect
		case says("code_challenge", "code challenge", "pkce"):
			return "let the provider allow PKCE with S256 for this client"
		case says("client_id", "client id", "unknown client"):
			return "check AUTH_OIDC_CLIENT_ID"
		}
	}
	return map[string]string{
		"invalid_scope":             "check AUTH_OIDC_SCOPES",
		"unsupported_response_type": "let the provider allow this client the authorization code flow (response_type code)",
		"unsupported_grant_type":    "let the provider allow this client the authorization code flow (grant_type authorization_code)",
		"login_required":            "check prompt in AUTH_OIDC_PARAMS and AUTH_OIDC_LOGIN_PARAMS",
		"interaction_required":      "check prompt in AUTH_OIDC_PARAMS and AUTH_OIDC_LOGIN_PARAMS",
		"invalid_target":            "check resource and audience in AUTH_OIDC_PARAMS",
	}[code]
}

// clientRemedy says which part of the client's credentials is wrong.
func clientRemedy(code string, says func(words ...string) bool) string {
	switch {
	case says("assertion", "jwt", "signature", "private key", "public key", "jwks"):
		return "check AUTH_OIDC_CLIENT_KEYS: the provider needs its public key"
	case says("auth method", "authentication method", "auth_method", "client_secret_basic", "client_secret_post"):
		return "check AUTH_OIDC_CLIENT_AUTH: the provider expects another way to authenticate this client"
	case says("secret", "credential"):
		return "check AUTH_OIDC_CLIENT_SECRET: the provider does not accept it for AUTH_OIDC_CLIENT_ID"
	case says("not found", "unknown", "does not exist", "no such", "client_id", "client id", "no client"):
		return "check AUTH_OIDC_CLIENT_ID: the provider does not know it"
	case code == "unauthorized_client":
		return "the provider knows the client: let it allow this client the authorization code flow"
	}
	return wrongClient
}

const wrongClient = "check AUTH_OIDC_CLIENT_ID, the client's secret or key, and AUTH_OIDC_CLIENT_AUTH"

// providerOutage reports whether an answer to an authorization request means that the
// provider has a fault (RFC 6749, 4.1.2.1).
func (a errorAnswer) providerOutage() bool {
	return a.Code == "server_error" || a.Code == "temporarily_unavailable"
}

// errSignInOver marks an outage that the browser cannot wait out: repeating the callback
// repeats the provider's answer.
var errSignInOver = errors.New("another sign-in may succeed")

// refusal returns the error for an error answer to an authorization request.
func (o *OIDC) refusal(query url.Values) error {
	answer := errorAnswer{query.Get("error"), query.Get("error_description")}
	reason := o.answered("the provider answered the authorization request", answer, query.Get("code"), query.Get("state"))
	switch {
	case answer.providerOutage():
		return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: minBackOff, Err: fmt.Errorf("%s; %w", reason, errSignInOver)}
	case answer.Code == "access_denied":
		return &ProtocolError{"access_denied", "the user or the provider denied the sign-in: " + o.told(answer, query.Get("code"), query.Get("state"))}
	}
	return &ProtocolError{"provider_refused", reason}
}
