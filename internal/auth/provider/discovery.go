package provider

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// metadata adds to op's discovery document the member of RFC 9207.
type metadata struct {
	*oidc.DiscoveryConfiguration

	IssuerInResponse bool `json:"authorization_response_iss_parameter_supported"`
}

// serveDiscovery removes from op's document everything without a route here.
func (p *Provider) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	ctx := op.ContextWithIssuer(r.Context(), p.options.Issuer)
	doc := op.CreateDiscoveryConfig(ctx, p.protocol, p.store)
	doc.IntrospectionEndpoint, doc.IntrospectionEndpointAuthMethodsSupported = "", nil
	doc.IntrospectionEndpointAuthSigningAlgValuesSupported = nil
	doc.RevocationEndpoint, doc.RevocationEndpointAuthMethodsSupported = "", nil
	doc.RevocationEndpointAuthSigningAlgValuesSupported = nil
	doc.DeviceAuthorizationEndpoint = ""
	doc.AuthorizationEndpoint = p.forBrowsers(doc.AuthorizationEndpoint)
	doc.EndSessionEndpoint = p.forBrowsers(doc.EndSessionEndpoint)
	doc.CheckSessionIframe = p.forBrowsers(doc.CheckSessionIframe)
	doc.ScopesSupported = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail}
	doc.ResponseTypesSupported = []string{string(oidc.ResponseTypeCode)}
	doc.ResponseModesSupported = []string{string(oidc.ResponseModeQuery)}
	doc.GrantTypesSupported = []oidc.GrantType{oidc.GrantTypeCode}
	doc.TokenEndpointAuthMethodsSupported = []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	doc.ClaimsSupported = nil // depends on the users
	writeJSON(w, metadata{DiscoveryConfiguration: doc, IssuerInResponse: true})
}

// forBrowsers moves an endpoint to the address for browsers. The other endpoints stay
// at the issuer, where only servers need to reach them.
func (p *Provider) forBrowsers(endpoint string) string {
	if path, found := strings.CutPrefix(endpoint, p.options.Issuer); found {
		return p.options.BrowserURL + path
	}
	return endpoint
}

func (p *Provider) serveKeys(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.keys.fetch()) }

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has gone away
}
