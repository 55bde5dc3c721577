package provider

import (
	"crypto/subtle"
	"net/url"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"dropgate/internal/clienttoken"
)

// Client is a confidential client of the authorization code flow: an application
// with a server.
type Client struct {
	ID                     string             // client_id
	Secret                 clienttoken.Secret // sent to the token endpoint as client_secret_basic or client_secret_post
	RedirectURIs           []string           // allowed for codes; compared exactly
	PostLogoutRedirectURIs []string           // allowed after /end_session; compared exactly
	BackChannelLogoutURI   string             // receives logout tokens; empty: the client gets none
}

// hasSecret reports whether secret is the client's. It is false for every secret
// when the client has none.
func (c Client) hasSecret(secret string) bool {
	return !c.Secret.IsZero() && subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret.Reveal())) == 1
}

// hasPage reports whether page has the origin of one of the redirect URIs.
func (c Client) hasPage(page *url.URL) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(uri string) bool {
		at, err := url.Parse(uri)
		return err == nil && at.Scheme == page.Scheme && at.Host == page.Host
	})
}

// hasPage reports whether page is an absolute URL at the origin of a client.
func (s *storage) hasPage(page string) bool {
	at, err := url.Parse(page)
	if err != nil || at.Host == "" || at.User != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		if c.hasPage(at) {
			return true
		}
	}
	return false
}

// registration adapts a Client to op.Client.
type registration struct {
	client     Client
	browserURL string // of the provider
	life       time.Duration
}

// GetID returns the client_id.
func (r registration) GetID() string { return r.client.ID }

// RedirectURIs returns the addresses allowed for codes.
func (r registration) RedirectURIs() []string { return r.client.RedirectURIs }

// PostLogoutRedirectURIs returns the addresses allowed after /end_session.
func (r registration) PostLogoutRedirectURIs() []string { return r.client.PostLogoutRedirectURIs }

// ApplicationType is web. Only web clients may have an http redirect URI with op.
func (r registration) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }

// AuthMethod is client_secret_basic. op then accepts client_secret_post as well.
func (r registration) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodBasic }

// ResponseTypes contains only code.
func (r registration) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

// GrantTypes contains only authorization_code.
func (r registration) GrantTypes() []oidc.GrantType { return []oidc.GrantType{oidc.GrantTypeCode} }

// LoginURL returns the login page for an authorization request.
func (r registration) LoginURL(id string) string { return r.browserURL + "/login?id=" + id }

// AccessTokenType is opaque: only /userinfo reads access tokens.
func (r registration) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

// IDTokenLifetime returns the life of every token here.
func (r registration) IDTokenLifetime() time.Duration { return r.life }

// DevMode is off, so that op checks redirect URIs strictly.
func (r registration) DevMode() bool { return false }

// RestrictAdditionalIdTokenScopes restricts nothing.
func (r registration) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:revive,staticcheck // op's spelling
	return slices.Clone[[]string]
}

// RestrictAdditionalAccessTokenScopes restricts nothing.
func (r registration) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}

// IsScopeAllowed allows no scope beyond those of OpenID Connect.
func (r registration) IsScopeAllowed(string) bool { return false }

// IDTokenUserinfoClaimsAssertion puts the user's claims into the ID token.
func (r registration) IDTokenUserinfoClaimsAssertion() bool { return true }

// ClockSkew is zero.
func (r registration) ClockSkew() time.Duration { return 0 }
