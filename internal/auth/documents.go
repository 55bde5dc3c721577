package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// documents reads the documents of an identity provider.
type documents struct {
	http *http.Client
}

func newDocuments(transport http.RoundTripper) documents {
	return documents{&http.Client{
		Transport: transport,
		// Only the configured address counts.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// The bounds of a document, and of a URL in it, in bytes.
const (
	maxDocument = 100 << 10
	maxURL      = 1 << 10
)

// read gets a JSON document of at most maxDocument bytes.
func (d documents) read(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody) //nolint:gosec // the operator's issuer, or a URL in its metadata
	if err != nil {
		return fmt.Errorf("asking for %.200q: %w", withoutQuery(address), err)
	}
	req.Header.Set("Accept", "application/json")
	address = withoutQuery(address)
	resp, err := d.http.Do(req) //nolint:gosec // as above
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // a *url.Error quotes the query
		}
		return fmt.Errorf("asking for %.200q: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", address, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", address, err)
	}
	if len(body) > maxDocument {
		return fmt.Errorf("%s is larger than %d bytes", address, maxDocument)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading %s: %w", address, err)
	}
	return nil
}

// withoutQuery returns an address for the log. Its query may hold a key.
func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

// providerMetadata holds the members in use of a discovery document (OpenID
// Connect Discovery 1.0, RFC 8414).
type providerMetadata struct {
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	// PushEndpoint accepts pushed authorization requests (RFC 9126).
	PushEndpoint string `json:"pushed_authorization_request_endpoint"`
	PushRequired bool   `json:"require_pushed_authorization_requests"`
	// TokenAuthAlgorithms lists the signatures of private_key_jwt. Empty means unknown.
	TokenAuthAlgorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	// IDTokenAlgorithms lists the signatures of ID tokens. Empty means unknown.
	IDTokenAlgorithms []string `json:"id_token_signing_alg_values_supported"`
	// ChallengeMethods lists the methods of PKCE, and ResponseTypes those of the
	// authorization endpoint. Empty means unknown.
	ChallengeMethods []string `json:"code_challenge_methods_supported"`
	ResponseTypes    []string `json:"response_types_supported"`
	// IssInAnswer promises the issuer in every answer to an authorization
	// request (RFC 9207).
	IssInAnswer bool `json:"authorization_response_iss_parameter_supported"`
}

// readMetadata gets the metadata of an issuer, and refuses another issuer's. address is
// the discovery document, or empty for the usual place.
func (d documents) readMetadata(ctx context.Context, issuer, address string) (providerMetadata, error) {
	if address == "" {
		address = strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	}
	var m providerMetadata
	if err := d.read(ctx, address, &m); err != nil {
		return providerMetadata{}, err
	}
	if m.Issuer != issuer {
		return providerMetadata{}, &MisfitError{otherIssuer, fmt.Sprintf("%s names the issuer %.200q, expected %q: if it is your provider, set the issuer (AUTH_OIDC_ISSUER, AUTH_BEARER_ISSUER) to exactly this text", address, m.Issuer, issuer)}
	}
	if err := m.check(address); err != nil {
		return providerMetadata{}, &MisfitError{unusableEndpoint, fmt.Sprintf("%s names %s", address, err)}
	}
	return m, nil
}

// check checks the endpoints. Those for browsers must be https if the issuer is, and
// the others if the discovery document is. A malformed end_session_endpoint must not
// prevent sign-ins: it is not used.
func (m *providerMetadata) check(address string) error {
	for _, e := range []struct{ member, url, like string }{
		{"authorization_endpoint", m.AuthorizationEndpoint, m.Issuer},
		{"jwks_uri", m.JWKSURI, address},
		{"token_endpoint", m.TokenEndpoint, address},
		{"userinfo_endpoint", m.UserinfoEndpoint, address},
		{"pushed_authorization_request_endpoint", m.PushEndpoint, address},
	} {
		if len(e.url) > maxURL { // errors quote it
			return fmt.Errorf("a %s of more than %d bytes", e.member, maxURL)
		}
		if e.url != "" && isSecure(e.like) && !isHTTPS(e.url) {
			return fmt.Errorf("a %s that is not https", e.member)
		}
	}
	internal := hostOf(address)
	public := internal == hostOf(m.Issuer)
	if !public && hostOf(m.EndSessionEndpoint) == internal {
		m.EndSessionEndpoint = ""
	}
	if len(m.EndSessionEndpoint) > maxURL {
		return fmt.Errorf("an end_session_endpoint of more than %d bytes", maxURL)
	}
	if isSecure(m.Issuer) && m.EndSessionEndpoint != "" && !strings.HasPrefix(m.EndSessionEndpoint, "https://") {
		return errors.New("an end_session_endpoint that is not https")
	}
	if !public && hostOf(m.AuthorizationEndpoint) == internal {
		return fmt.Errorf("an authorization_endpoint at %s, which browsers cannot reach: give the provider its public host name", internal)
	}
	return nil
}

func isSecure(address string) bool { return strings.HasPrefix(strings.ToLower(address), "https://") }

// hostOf returns the host and port of a URL, or "".
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// isHTTPS reports whether a URL is https and has a host. Browsers resolve
// "https:?a" relative to the current page.
func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.HasPrefix(address, "https://") && u.Hostname() != ""
}
