package auth

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"dropgate/internal/clienttoken"
)

// ClientAuth is how the service proves its identity at the provider (OpenID Connect
// Core 1.0, 9).
type ClientAuth string

// The ways to authenticate a client. Without one, a key means PrivateKeyJWT, no secret
// means PublicClient, and the provider's discovery document chooses between the two
// ways to send a secret.
const (
	SecretBasic   ClientAuth = "client_secret_basic"
	SecretPost    ClientAuth = "client_secret_post"
	PrivateKeyJWT ClientAuth = "private_key_jwt"
	PublicClient  ClientAuth = "none"
)

// credentialOfClient is one secret or one key of the service.
type credentialOfClient struct {
	secret clienttoken.Secret
	key    *ClientKey
}

// clientAuth returns the way to authenticate at this provider.
func (o *OIDC) clientAuth(provider providerMetadata) ClientAuth {
	methods := provider.TokenAuthMethods
	switch {
	case o.config.ClientAuth != "":
		return o.config.ClientAuth
	case len(*o.clientKeys.Load()) > 0:
		return PrivateKeyJWT
	case len(o.secret.Values()) == 0:
		return PublicClient
	case len(methods) > 0 && !slices.Contains(methods, string(SecretBasic)):
		return SecretPost
	default: // the default of the standard, too (Discovery 1.0, 3)
		return SecretBasic
	}
}

// credentials returns what to try for this way, in order.
func (o *OIDC) credentials(auth ClientAuth) []credentialOfClient {
	var all []credentialOfClient
	switch auth {
	case PublicClient:
		return []credentialOfClient{{}}
	case PrivateKeyJWT:
		for _, key := range *o.clientKeys.Load() {
			all = append(all, credentialOfClient{key: key})
		}
	case SecretBasic, SecretPost:
		for _, secret := range o.secret.Candidates() {
			all = append(all, credentialOfClient{secret: secret})
		}
	}
	return all
}

// oauthClient returns the service's OAuth client at the provider.
func (o *OIDC) oauthClient(provider providerMetadata, auth ClientAuth, c credentialOfClient) *oauth2.Config {
	style := oauth2.AuthStyleInParams
	if auth == SecretBasic {
		style = oauth2.AuthStyleInHeader
	}
	return &oauth2.Config{
		ClientID:     o.config.ClientID,
		ClientSecret: c.secret.Reveal(),
		Endpoint: oauth2.Endpoint{
			AuthURL: provider.AuthorizationEndpoint, TokenURL: provider.TokenEndpoint, AuthStyle: style,
		},
		RedirectURL: o.redirectURL(),
		Scopes:      o.config.Scopes,
	}
}

// redirectURL is where the provider sends browsers back to.
func (o *OIDC) redirectURL() string { return o.config.Origin + o.config.BasePath + "/auth/callback" }

// assertion returns the form fields of private_key_jwt (RFC 7523, 2.2), and nothing for
// the other ways.
func (o *OIDC) assertion(provider providerMetadata, c credentialOfClient) (url.Values, error) {
	if c.key == nil {
		return nil, nil //nolint:nilnil // no fields
	}
	now := time.Now()
	signed, err := c.key.sign(provider.TokenAuthAlgorithms, jwt.Claims{
		Issuer: o.config.ClientID, Subject: o.config.ClientID,
		// The issuer alone: no other server can use the assertion
		// (draft-ietf-oauth-rfc7523bis, 4).
		Audience: jwt.Audience{o.config.Issuer},
		ID:       rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
	})
	if err != nil {
		return nil, &ProtocolError{"exchange_refused", "signing with AUTH_OIDC_CLIENT_KEY: " + err.Error()}
	}
	return url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {signed},
	}, nil
}

// assertionLife bounds the use of one assertion.
const assertionLife = time.Minute

// authenticate adds a credential to a form for the provider.
func (o *OIDC) authenticate(provider providerMetadata, auth ClientAuth, c credentialOfClient, r formRequest) error {
	if auth == SecretBasic {
		r.header.Set("Authorization", basic(o.config.ClientID, c.secret))
		return nil
	}
	if auth == SecretPost {
		r.form.Set("client_secret", c.secret.Reveal())
	}
	r.form.Set("client_id", o.config.ClientID)
	fields, err := o.assertion(provider, c)
	maps.Copy(r.form, fields)
	return err
}

// formRequest is a form to send, with its headers.
type formRequest struct {
	form   url.Values
	header http.Header
}

// basic returns the header of client_secret_basic. Both parts are form-urlencoded first
// (RFC 6749, 2.3.1).
func basic(id string, secret clienttoken.Secret) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret.Reveal()))
	return r.Header.Get("Authorization")
}

// tryEach calls the provider with the first credential that it accepts. Some providers
// use up the code of a client that they refuse; then only the next sign-in succeeds
// (docs/rotation.md).
func tryEach[T any](o *OIDC, auth ClientAuth, call func(credentialOfClient) (T, error)) (result T, err error) {
	candidates := o.credentials(auth)
	if len(candidates) == 0 {
		return result, &ProtocolError{"exchange_refused", fmt.Sprintf("AUTH_OIDC_CLIENT_AUTH is %s, and its secret or key is missing", auth)}
	}
	for i, c := range candidates {
		if result, err = call(c); err == nil {
			if c.key == nil && !c.secret.IsZero() {
				o.secret.Accepted(c.secret)
			}
			return result, nil
		}
		if !refusesClient(err) {
			return result, err
		}
		if c.key == nil && i+1 < len(candidates) && o.secret.Refused() && o.config.SecretRefused != nil {
			o.config.SecretRefused()
		}
	}
	return result, err
}
