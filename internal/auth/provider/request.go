package provider

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// request is an authorization request: what a client asked, and once somebody
// has signed in, who answers it. Copies are handed out, so that nobody reads
// what somebody else is writing. RedirectURI, State and the like come from
// oidc.AuthRequest.
type request struct {
	*oidc.AuthRequest // as it was asked; never written to
	id                string
	about             string // the user of the request's id_token_hint; empty: it has none
	session           session
}

// answeredBy reports whether a browser session answers the request without the
// login page.
func (r request) answeredBy(s session) bool {
	if slices.Contains(r.Prompt, oidc.PromptSelectAccount) {
		return false
	}
	// op has made max_age=0 of prompt=login.
	if r.MaxAge != nil && time.Since(s.since).Seconds() >= float64(*r.MaxAge) {
		return false
	}
	return r.about == "" || r.about == s.user
}

// silent reports whether the login page must not be shown.
func (r request) silent() bool { return slices.Contains(r.Prompt, oidc.PromptNone) }

// GetID is the id under which the login page knows the request.
func (r request) GetID() string { return r.id }

// GetACR is empty: no level of authentication is claimed.
func (r request) GetACR() string { return "" }

// GetAMR is empty: there is no authentication whose method could be named.
func (r request) GetAMR() []string { return nil }

// GetAudience is the client.
func (r request) GetAudience() []string { return []string{r.ClientID} }

// GetAuthTime is when the browser session's user pressed the button.
func (r request) GetAuthTime() time.Time { return r.session.since }

// GetClientID is the client.
func (r request) GetClientID() string { return r.ClientID }

// GetCodeChallenge is what the code_verifier is held against, or nil.
func (r request) GetCodeChallenge() *oidc.CodeChallenge {
	if r.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// GetNonce is the client's nonce.
func (r request) GetNonce() string { return r.Nonce }

// GetResponseMode is what the client asked for.
func (r request) GetResponseMode() oidc.ResponseMode { return r.ResponseMode }

// GetScopes are what the client asked for.
func (r request) GetScopes() []string { return r.Scopes }

// GetSubject is the user who signed in.
func (r request) GetSubject() string { return r.session.user }

// Done reports whether somebody has signed in.
func (r request) Done() bool { return r.session.user != "" }
