package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"dropgate/internal/clienttoken"
)

// documents reads what an identity provider publishes.
type documents struct {
	http *http.Client
}

func newDocuments(transport http.RoundTripper) documents {
	return documents{&http.Client{
		Transport: transport,
		// They come from the configured address or from nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// The bounds of a document, and of an address in it, in bytes.
const (
	maxDocument = 100 << 10
	maxAddress  = 1 << 10
)

// read gets a JSON document of at most maxDocument bytes.
func (d documents) read(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody) //nolint:gosec // the operator's issuer, or what it names
	if err != nil {
		return fmt.Errorf("asking for %.200q: %w", address, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := d.http.Do(req) //nolint:gosec // as above
	if err != nil {
		return err //nolint:wrapcheck // a *url.Error names method and URL
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

// metadata is what an OpenID provider says of itself (OpenID Connect Discovery
// 1.0, RFC 8414).
type metadata struct {
	Issuer                string   `json:"issuer"`
	JWKSURI               string   `json:"jwks_uri"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	// IssInAnswer says that every answer to an authorization request names the
	// issuer (RFC 9207).
	IssInAnswer bool `json:"authorization_response_iss_parameter_supported"`
}

// discover gets the metadata of an issuer, and believes no other's.
func (d documents) discover(ctx context.Context, issuer string) (metadata, error) {
	var m metadata
	at := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	if err := d.read(ctx, at, &m); err != nil {
		return metadata{}, err
	}
	if m.Issuer != issuer {
		return metadata{}, fmt.Errorf("%s names the issuer %.200q", at, m.Issuer)
	}
	secure := strings.HasPrefix(strings.ToLower(issuer), "https://")
	if secure && m.EndSessionEndpoint != "" && !strings.HasPrefix(m.EndSessionEndpoint, "https://") {
		return metadata{}, fmt.Errorf("%s names a end_session_endpoint that is not https", at)
	}
	for member, address := range map[string]string{
		"jwks_uri":               m.JWKSURI,
		"authorization_endpoint": m.AuthorizationEndpoint,
		"token_endpoint":         m.TokenEndpoint,
		"end_session_endpoint":   m.EndSessionEndpoint,
	} {
		if len(address) > maxAddress { // errors quote it
			return metadata{}, fmt.Errorf("%s names a %s of more than %d bytes", at, member, maxAddress)
		}
		// One that is no URL ends no session at the provider, and keeps nobody
		// from signing in.
		if secure && address != "" && member != "end_session_endpoint" && !isHTTPS(address) {
			return metadata{}, fmt.Errorf("%s names a %s that is not https", at, member)
		}
	}
	return m, nil
}

// isHTTPS reports whether an address has a host, too: a browser takes "https:?a"
// for one of the page that it is on.
func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.HasPrefix(address, "https://") && u.Hostname() != ""
}

// discovery keeps the metadata of one provider. It is fetched when it is first
// asked for, and anew in the background when it is older than metadataLife;
// the last good one stays while the provider is down. After a failure there is a
// pause that doubles each time, and that ends when the provider's keys arrive.
type discovery struct {
	issuer    string
	documents documents
	keys      *KeySet // of the same issuer
	waiting   waiting // requests that wait for the first fetch

	mu       sync.Mutex
	current  metadata
	until    time.Time     // current is fresh; zero: there is none yet
	fetching chan struct{} // closed when the fetch under way ends; nil if none is
	failed   error         // of the last fetch
	wait     time.Duration // after the last failure
	next     time.Time     // no fetch starts before this, unless the keys could be fetched since
}

const (
	metadataLife     = time.Hour
	leastFetchWait   = time.Second
	longestFetchWait = 30 * time.Second
)

var errNotDiscovered = errors.New("its discovery document has not been fetched yet")

// get returns the metadata, or a *clienttoken.Failure as long as there has
// never been any.
func (d *discovery) get(ctx context.Context) (metadata, error) {
	d.mu.Lock()
	d.fetch()
	if !d.until.IsZero() {
		defer d.mu.Unlock()
		return d.current, nil
	}
	done := d.fetching
	d.mu.Unlock()
	if done != nil && d.waiting.enter() {
		err := waited(ctx, done)
		d.waiting.leave()
		if err != nil {
			return metadata{}, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until.IsZero() {
		return metadata{}, &clienttoken.Failure{
			Code:       clienttoken.Unavailable,
			RetryAfter: max(time.Until(d.next), leastFetchWait),
			Err:        fmt.Errorf("the identity provider: %w", cmp.Or(d.failed, errNotDiscovered)),
		}
	}
	return d.current, nil
}

// fetch starts a fetch if one is due. The fetch belongs to nobody: it goes on
// when whoever asked for it has gone. The caller holds mu.
func (d *discovery) fetch() {
	now := time.Now()
	early := now.Before(d.next) && !d.keys.succeeded().After(d.next.Add(-d.wait))
	if d.fetching != nil || now.Before(d.until) || early {
		return
	}
	done := make(chan struct{})
	d.fetching = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		fresh, err := d.documents.discover(ctx, d.issuer)
		if err == nil && (fresh.AuthorizationEndpoint == "" || fresh.TokenEndpoint == "") {
			err = errors.New("its discovery document names no authorization_endpoint or token_endpoint")
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fetching, d.failed = nil, err
		if err != nil {
			d.wait = min(max(2*d.wait, leastFetchWait), longestFetchWait)
			d.next = time.Now().Add(d.wait)
			return
		}
		d.current, d.until, d.wait = fresh, time.Now().Add(metadataLife), 0
	}()
}
