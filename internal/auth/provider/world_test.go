package provider_test

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

const secret = "the secret: +%/of the application"

// world is a provider and an application, each with a socket.
type world struct {
	t        *testing.T
	issuer   string
	provider *provider.Provider
	root     string      // of the application
	told     chan string // the logout tokens that came to the application
	oidc     *oidc.Provider
}

func users() map[string]map[string]any {
	return map[string]map[string]any{
		"bob":   {"name": "Bob Demo", "email": "bob@example.com"},
		"alice": {"name": "Alice Demo", "email": "alice@example.com", "dwolla_customer": "1111", "level": 7},
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, told: make(chan string, 16)}
	idp := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.provider.ServeHTTP(rw, r)
	}))
	w.issuer = "http://" + idp.Listener.Addr().String()
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/backchannel" {
			w.told <- r.PostFormValue("logout_token")
		}
	}))
	w.root = app.URL
	t.Cleanup(app.Close)
	var err error
	w.provider, err = provider.New(provider.Options{Issuer: w.issuer, Users: users()})
	if err != nil {
		t.Fatal(err)
	}
	idp.Start()
	t.Cleanup(idp.Close)
	w.provider.AddClient(w.client("first"))
	w.provider.AddClient(w.client("second"))
	if w.oidc, err = oidc.NewProvider(t.Context(), w.issuer); err != nil {
		t.Fatal(err)
	}
	return w
}

// client is one of the application's registrations.
func (w *world) client(id string) provider.Client {
	return provider.Client{
		ID: id, Secret: clienttoken.NewSecret(secret),
		RedirectURIs:           []string{w.root + "/" + id},
		PostLogoutRedirectURIs: []string{w.root + "/bye"},
		BackChannelLogoutURI:   w.root + "/backchannel",
	}
}

func (w *world) oauth(id string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: id, ClientSecret: secret, Endpoint: w.oidc.Endpoint(),
		RedirectURL: w.root + "/" + id, Scopes: []string{oidc.ScopeOpenID, "email"},
	}
}

// verifier is a client's, and asks for the keys afresh.
func (w *world) verifier(id string) *oidc.IDTokenVerifier {
	keys := oidc.NewRemoteKeySet(w.t.Context(), w.issuer+"/keys")
	return oidc.NewVerifier(w.issuer, keys, &oidc.Config{ClientID: id})
}

// page is where a browser ended up.
type page struct {
	t      *testing.T
	url    *url.URL
	status int
	header http.Header
	body   string
}

// answer is what an application finds in the URL.
func (p page) answer() url.Values { return p.url.Query() }

// shows fails the test unless the page is the login page.
func (p page) shows(what string) {
	p.t.Helper()
	if p.status != http.StatusOK || !strings.Contains(p.body, what) {
		p.t.Fatalf("at %s: %d %s; want %q", p.url, p.status, p.body, what)
	}
}

// browser keeps cookies and follows redirects.
type browser struct {
	t    *testing.T
	http *http.Client
}

func newBrowser(t *testing.T, carrier http.RoundTripper) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, http: &http.Client{Jar: jar, Transport: carrier}}
}

func (w *world) browser() *browser { return newBrowser(w.t, nil) }

func (b *browser) do(method, target string, form url.Values) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{t: b.t, url: resp.Request.URL, status: resp.StatusCode, header: resp.Header, body: string(body)}
}

func (b *browser) open(target string) page {
	b.t.Helper()
	return b.do(http.MethodGet, target, nil)
}

// press presses a button of the login page.
func (b *browser) press(on page, name, value string) page {
	b.t.Helper()
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(on.body)
	if id == nil {
		b.t.Fatalf("%s is not the login page: %d %s", on.url, on.status, on.body)
	}
	action := on.url.ResolveReference(&url.URL{Path: "login"})
	return b.do(http.MethodPost, action.String(), url.Values{"id": {html.UnescapeString(id[1])}, name: {value}})
}

// signIn goes through the login page to the application, and returns what it
// found there.
func (w *world) signIn(b *browser, client, user string, options ...oauth2.AuthCodeOption) url.Values {
	w.t.Helper()
	landed := b.press(b.open(w.oauth(client).AuthCodeURL("the state", options...)), "user", user)
	if landed.status != http.StatusOK || !strings.HasPrefix(landed.url.String(), w.root+"/"+client+"?") {
		w.t.Fatalf("landed at %s: %d %s", landed.url, landed.status, landed.body)
	}
	return landed.answer()
}

// claims are what the tests look at in an ID token.
type claims struct {
	SID      string `json:"sid"`
	AZP      string `json:"azp"`
	AuthTime int64  `json:"auth_time"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Customer string `json:"dwolla_customer"`
	Level    int    `json:"level"`
}

// identity is what an application gets for a code: verified.
type identity struct {
	claims

	tokens *oauth2.Token
	raw    string // the ID token
	token  *oidc.IDToken
}

// redeem shows an answer's code to the token endpoint.
func (w *world) redeem(client string, answer url.Values, options ...oauth2.AuthCodeOption) identity {
	w.t.Helper()
	tokens, err := w.oauth(client).Exchange(w.t.Context(), answer.Get("code"), options...)
	if err != nil {
		w.t.Fatalf("redeeming %v: %v", answer, err)
	}
	who := identity{tokens: tokens}
	who.raw, _ = tokens.Extra("id_token").(string)
	if who.token, err = w.verifier(client).Verify(w.t.Context(), who.raw); err != nil {
		w.t.Fatal(err)
	}
	if err := who.token.Claims(&who.claims); err != nil {
		w.t.Fatal(err)
	}
	return who
}
