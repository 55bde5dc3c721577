package provider

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// metadata is the discovery document: op's, and the word for RFC 9207 that op
// does not have.
type metadata struct {
	*oidc.DiscoveryConfiguration

	IssuerInResponse bool `json:"authorization_response_iss_parameter_supported"`
}

// discovery says less than op would: only what has a route here.
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) {
	ctx := op.ContextWithIssuer(r.Context(), p.options.Issuer)
	said := op.CreateDiscoveryConfig(ctx, p.protocol, p.store)
	said.IntrospectionEndpoint, said.IntrospectionEndpointAuthMethodsSupported = "", nil
	said.IntrospectionEndpointAuthSigningAlgValuesSupported = nil
	said.RevocationEndpoint, said.RevocationEndpointAuthMethodsSupported = "", nil
	said.RevocationEndpointAuthSigningAlgValuesSupported = nil
	said.DeviceAuthorizationEndpoint = ""
	said.ScopesSupported = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail}
	said.ResponseTypesSupported = []string{string(oidc.ResponseTypeCode)}
	said.ResponseModesSupported = []string{string(oidc.ResponseModeQuery)}
	said.GrantTypesSupported = []oidc.GrantType{oidc.GrantTypeCode}
	said.TokenEndpointAuthMethodsSupported = []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	said.ClaimsSupported = nil // whatever the users have
	writeJSON(w, metadata{DiscoveryConfiguration: said, IssuerInResponse: true})
}

func (p *Provider) publish(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.keys.fetch()) }

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that has gone away is its own loss
}

// withIssuer adds iss to the authorization responses of next, good and bad, by
// which a client that knows two providers sees who answers (RFC 9207).
func (p *Provider) withIssuer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(issuerWriter{ResponseWriter: w, issuer: p.options.Issuer}, r)
	})
}

type issuerWriter struct {
	http.ResponseWriter

	issuer string
}

// WriteHeader is where a redirect is on its way out.
func (w issuerWriter) WriteHeader(status int) {
	if location := w.Header().Get("Location"); location != "" {
		w.Header().Set("Location", addIssuer(location, w.issuer))
	}
	w.ResponseWriter.WriteHeader(status)
}

// addIssuer tells an authorization response from other redirects by what it
// always has: a code or an error. op puts an error into the fragment when the
// request was for one of the response types that are not supported.
func addIssuer(location, issuer string) string {
	target, err := url.Parse(location)
	if err != nil {
		return location
	}
	if query := target.Query(); query.Has("code") || query.Has("error") {
		query.Set("iss", issuer)
		target.RawQuery = query.Encode()
	} else if fragment, err := url.ParseQuery(target.EscapedFragment()); err == nil && fragment.Has("error") {
		fragment.Set("iss", issuer)
		target.RawFragment = fragment.Encode()
		target.Fragment, _ = url.PathUnescape(target.RawFragment)
	}
	return target.String()
}
