// Package oidctest starts the demo identity provider for a test and stops it
// when the test ends. The provider signs bearer tokens, signs users in through
// its login page, and fails or hangs when a test asks it to.
//
// It is for tests only. It knows nothing of how dropgate checks tokens, so that
// a test of those checks gets an independent opinion.
package oidctest

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

// Defaults for the options and the client registration.
const (
	Audience     = "dropgate"
	ClientID     = "dropgate-web"
	ClientSecret = "the secret: +%/of the client" //nolint:gosec // a test double's; wrong escaping fails the test
)

// Provider is a running identity provider. It is safe for concurrent use. Its
// methods fail the test on an error.
type Provider struct {
	*provider.Provider

	Issuer string

	tb    testing.TB
	fault fault
}

// New starts a provider. Without an issuer in the options it listens on
// 127.0.0.1, and its URL is the issuer. With an issuer it does not listen, and
// only Transport and ServeHTTP reach it.
func New(tb testing.TB, o provider.Options) *Provider {
	tb.Helper()
	p := &Provider{tb: tb, Issuer: o.Issuer}
	var server *httptest.Server
	if o.Issuer == "" {
		server = httptest.NewUnstartedServer(p)
		p.Issuer = "http://" + server.Listener.Addr().String()
		o.Issuer = p.Issuer
	}
	if o.Audience == "" {
		o.Audience = Audience
	}
	var err error
	if p.Provider, err = provider.New(o); err != nil {
		tb.Fatal(err)
	}
	if server != nil {
		server.Start()
		tb.Cleanup(server.Close)
		tb.Cleanup(p.Heal) // before Close, which waits for requests that hang
	}
	return p
}

// ServeHTTP answers a request, or gives it the present fault.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.fault.strike(w, r) {
		p.Provider.ServeHTTP(w, r)
	}
}

// Transport reaches the provider without a network, whatever the host of the
// request. It works inside a synctest bubble.
func (p *Provider) Transport() http.RoundTripper { return Direct(p) }

// Client returns the registration of a service at base, the URL above /auth, for
// example "https://app.example.com/dropgate".
func Client(base string) provider.Client {
	root := base
	if at, err := url.Parse(base); err == nil {
		root = at.Scheme + "://" + at.Host
	}
	return provider.Client{
		ID: ClientID, Secret: clienttoken.NewSecret(ClientSecret),
		RedirectURIs:           []string{base + "/auth/callback"},
		PostLogoutRedirectURIs: []string{root + "/"},
		BackChannelLogoutURI:   base + "/auth/backchannel-logout",
	}
}

// Bearer returns a token for one of the users.
func (p *Provider) Bearer(user string) string {
	p.tb.Helper()
	token, err := p.TokenFor(user)
	if err != nil {
		p.tb.Fatal(err)
	}
	return token
}

// Sign returns a token with exactly these claims.
func (p *Provider) Sign(claims map[string]any) string {
	p.tb.Helper()
	token, err := p.Token(claims)
	if err != nil {
		p.tb.Fatal(err)
	}
	return token
}

// SignOut ends the user's sessions and sends logout tokens to the clients.
func (p *Provider) SignOut(user string) {
	p.tb.Helper()
	if err := p.EndUser(p.tb.Context(), user); err != nil {
		p.tb.Fatal(err)
	}
}

// SignIn opens a URL that leads to the login page, and presses the user's button
// there. It returns the response at the end of the redirects; the caller closes
// the body. The browser needs a cookie jar.
func (p *Provider) SignIn(browser *http.Client, at, user string) *http.Response {
	p.tb.Helper()
	following := *browser
	following.Transport = Refreshing(browser.Transport)
	browser = &following
	resp := p.send(browser, http.MethodGet, at, nil)
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		p.tb.Fatal(err)
	}
	form, ok := Form(string(page))
	if !ok {
		p.tb.Fatalf("%s leads to %s, not to the login page: %s %s", at, resp.Request.URL, resp.Status, page)
	}
	form.Set("user", user)
	return p.send(browser, http.MethodPost, p.Issuer+"/login", form)
}

// Form returns the hidden fields of the login page. A test adds "user" with a
// name, or "cancel", and posts the form to /login. Form reports false for any
// other page.
func Form(page string) (url.Values, bool) {
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page)
	if id == nil {
		return nil, false
	}
	return url.Values{"id": {html.UnescapeString(id[1])}}, true
}

func (p *Provider) send(browser *http.Client, method, at string, form url.Values) *http.Response {
	p.tb.Helper()
	r, err := http.NewRequestWithContext(p.tb.Context(), method, at, strings.NewReader(form.Encode()))
	if err != nil {
		p.tb.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(r)
	if err != nil {
		p.tb.Fatal(err)
	}
	return resp
}
