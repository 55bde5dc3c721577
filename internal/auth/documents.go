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
	// IssInAnswer promises the issuer in every answer to an authorization
	// request (RFC 9207).
	IssInAnswer bool `json:"authorization_response_iss_parameter_supported"`
}

// readMetadata gets the metadata of an issuer, and refuses another issuer's.
func (d documents) readMetadata(ctx context.Context, issuer string) (providerMetadata, error) {
	var m providerMetadata
	address := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	if err := d.read(ctx, address, &m); err != nil {
		return providerMetadata{}, err
	}
	if m.Issuer != issuer {
		return providerMetadata{}, fmt.Errorf("%s names the issuer %.200q", address, m.Issuer)
	}
	secure := strings.HasPrefix(strings.ToLower(issuer), "https://")
	if secure && m.EndSessionEndpoint != "" && !strings.HasPrefix(m.EndSessionEndpoint, "https://") {
		return providerMetadata{}, fmt.Errorf("%s names an end_session_endpoint that is not https", address)
	}
	for member, endpoint := range map[string]string{
		"jwks_uri":               m.JWKSURI,
		"authorization_endpoint": m.AuthorizationEndpoint,
		"token_endpoint":         m.TokenEndpoint,
		"end_session_endpoint":   m.EndSessionEndpoint,
	} {
		if len(endpoint) > maxURL { // errors quote it
			return providerMetadata{}, fmt.Errorf("%s names a %s of more than %d bytes", address, member, maxURL)
		}
		// A malformed end_session_endpoint must not prevent sign-ins. It is
		// simply not used.
		if secure && endpoint != "" && member != "end_session_endpoint" && !isHTTPS(endpoint) {
			return providerMetadata{}, fmt.Errorf("%s names a %s that is not https", address, member)
		}
	}
	return m, nil
}

// isHTTPS reports whether a URL is https and has a host. Browsers resolve
// "https:?a" relative to the current page.
func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.HasPrefix(address, "https://") && u.Hostname() != ""
}
