package provider

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// request is an authorization request. It implements op.AuthRequest and is passed
// by value, so that it can be read without a lock.
type request struct {
	*oidc.AuthRequest // never written to

	id         string
	hintedUser string  // the subject of id_token_hint; empty: there was no hint
	session    session // the user who answered; zero: nobody yet
}

// answeredBy reports whether the session answers the request without the login
// page.
func (r request) answeredBy(s session) bool {
	if slices.Contains(r.Prompt, oidc.PromptSelectAccount) {
		return false
	}
	// op turns prompt=login into max_age=0.
	if r.MaxAge != nil && time.Since(s.since).Seconds() >= float64(*r.MaxAge) {
		return false
	}
	return r.hintedUser == "" || r.hintedUser == s.user
}

// silent reports whether the client forbids the login page.
func (r request) silent() bool { return slices.Contains(r.Prompt, oidc.PromptNone) }

// GetID returns the id by which the login page names the request.
func (r request) GetID() string { return r.id }

// GetACR is empty: the provider claims no level of authentication.
func (r request) GetACR() string { return "" }

// GetAMR is empty: the provider does not authenticate anybody.
func (r request) GetAMR() []string { return nil }

// GetAudience returns the client.
func (r request) GetAudience() []string { return []string{r.ClientID} }

// GetAuthTime returns when the user pressed the button.
func (r request) GetAuthTime() time.Time { return r.session.since }

// GetClientID returns the client.
func (r request) GetClientID() string { return r.ClientID }

// GetCodeChallenge returns the PKCE challenge, or nil.
func (r request) GetCodeChallenge() *oidc.CodeChallenge {
	if r.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// GetNonce returns the client's nonce.
func (r request) GetNonce() string { return r.Nonce }

// GetResponseMode returns the response_mode parameter.
func (r request) GetResponseMode() oidc.ResponseMode { return r.ResponseMode }

// GetScopes returns the requested scopes.
func (r request) GetScopes() []string { return r.Scopes }

// GetSubject returns the user who signed in.
func (r request) GetSubject() string { return r.session.user }

// Done reports whether a user has signed in.
func (r request) Done() bool { return r.session.user != "" }
