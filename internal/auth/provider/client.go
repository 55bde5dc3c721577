package provider

import (
	"crypto/subtle"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"dropgate/internal/clienttoken"
)

// Client is an application with a server of its own: a confidential client of
// the authorization code flow.
type Client struct {
	ID                     string             // client_id
	Secret                 clienttoken.Secret // shown at the token endpoint, as client_secret_basic or client_secret_post
	RedirectURIs           []string           // where codes may be sent, to the letter
	PostLogoutRedirectURIs []string           // where a browser may go after /end_session, to the letter
	BackChannelLogoutURI   string             // takes logout tokens; empty: none are sent
}

// proves reports whether secret is the client's. A client without a secret
// cannot prove anything.
func (c Client) proves(secret string) bool {
	return !c.Secret.IsZero() && subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret.Reveal())) == 1
}

// registration shows a Client in the way that op wants to see it.
type registration struct {
	client Client
	issuer string
	life   time.Duration
}

// GetID is the client_id.
func (r registration) GetID() string { return r.client.ID }

// RedirectURIs are where codes may be sent.
func (r registration) RedirectURIs() []string { return r.client.RedirectURIs }

// PostLogoutRedirectURIs are where a browser may go after /end_session.
func (r registration) PostLogoutRedirectURIs() []string { return r.client.PostLogoutRedirectURIs }

// ApplicationType is web: a client that can keep a secret. Only for such a one
// op allows a redirect URI with http.
func (r registration) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }

// AuthMethod is client_secret_basic; op then takes client_secret_post as well.
func (r registration) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodBasic }

// ResponseTypes is code alone.
func (r registration) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

// GrantTypes is authorization_code alone.
func (r registration) GrantTypes() []oidc.GrantType { return []oidc.GrantType{oidc.GrantTypeCode} }

// LoginURL is where the browser goes with an authorization request.
func (r registration) LoginURL(id string) string { return r.issuer + "/login?id=" + id }

// AccessTokenType is opaque: access tokens are for /userinfo and nobody else.
func (r registration) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

// IDTokenLifetime is that of every token here.
func (r registration) IDTokenLifetime() time.Duration { return r.life }

// DevMode is off: redirect URIs are as strict as they can be.
func (r registration) DevMode() bool { return false }

// RestrictAdditionalIdTokenScopes restricts nothing.
func (r registration) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:revive,staticcheck // the spelling is op's
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
