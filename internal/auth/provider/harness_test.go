package provider_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

const secret = "the secret: +%/of the application"

// issuer is the issuer of providers that do not listen.
const issuer = "http://127.0.0.1:17189"

// world is a provider and an application. Both listen.
type world struct {
	t        *testing.T
	issuer   string
	provider *oidctest.Provider
	root     string      // the application's URL
	received chan string // logout tokens at the application
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
	w := &world{t: t, received: make(chan string, 16)}
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/backchannel" {
			w.received <- r.PostFormValue("logout_token")
		}
	}))
	w.root = app.URL
	t.Cleanup(app.Close)
	w.provider = oidctest.New(t, provider.Options{Users: users()})
	w.issuer = w.provider.Issuer
	w.provider.AddClient(w.client("first"))
	w.provider.AddClient(w.client("second"))
	var err error
	if w.oidc, err = oidc.NewProvider(t.Context(), w.issuer); err != nil {
		t.Fatal(err)
	}
	return w
}

// unlistened returns a provider that does not listen, so that it works in a
// synctest bubble, and a browser for it. Its client is "first".
func unlistened(t *testing.T, edits ...func(*provider.Options)) (*oidctest.Provider, *browser) {
	t.Helper()
	o := provider.Options{Issuer: issuer, Users: users(), Clients: []provider.Client{{
		ID: "first", Secret: clienttoken.NewSecret(secret), RedirectURIs: []string{issuer + "/first"},
		PostLogoutRedirectURIs: []string{issuer + "/bye"},
	}}}
	for _, edit := range edits {
		edit(&o)
	}
	p := oidctest.New(t, o)
	return p, newBrowser(t, p.Transport())
}

// authorize starts a sign-in at a provider that does not listen.
const authorize = issuer + "/authorize?client_id=first&response_type=code&scope=openid&redirect_uri=" + issuer + "/first"

// redeem sends a code to the token endpoint and returns the status.
func redeem(t *testing.T, p http.Handler, code string) int {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {issuer + "/first"}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("first", url.QueryEscape(secret))
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code
}

// get returns the status and the body of a path.
func get(t *testing.T, p http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// post returns the status of a POST without a body.
func post(t *testing.T, p http.Handler, path string) int {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, http.NoBody))
	return w.Code
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

// verifier checks a client's tokens with freshly fetched keys.
func (w *world) verifier(id string) *oidc.IDTokenVerifier {
	keys := oidc.NewRemoteKeySet(w.t.Context(), w.issuer+"/keys")
	return oidc.NewVerifier(w.issuer, keys, &oidc.Config{ClientID: id})
}

// page is the last answer to a browser.
type page struct {
	t      *testing.T
	url    *url.URL
	status int
	header http.Header
	body   string
}

// answer returns the query parameters for the application.
func (p page) answer() url.Values { return p.url.Query() }

// shows fails the test unless the page contains text.
func (p page) shows(text string) {
	p.t.Helper()
	if p.status != http.StatusOK || !strings.Contains(p.body, text) {
		p.t.Fatalf("at %s: %d %s; want %q", p.url, p.status, p.body, text)
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
	form, ok := oidctest.Form(on.body)
	if !ok {
		b.t.Fatalf("%s is not the login page: %d %s", on.url, on.status, on.body)
	}
	action := on.url.ResolveReference(&url.URL{Path: "login"})
	form.Set(name, value)
	return b.do(http.MethodPost, action.String(), form)
}

// signIn goes through the login page to the application. It returns the query
// parameters there.
func (w *world) signIn(b *browser, client, user string, options ...oauth2.AuthCodeOption) url.Values {
	w.t.Helper()
	landed := b.press(b.open(w.oauth(client).AuthCodeURL("the state", options...)), "user", user)
	if landed.status != http.StatusOK || !strings.HasPrefix(landed.url.String(), w.root+"/"+client+"?") {
		w.t.Fatalf("landed at %s: %d %s", landed.url, landed.status, landed.body)
	}
	return landed.answer()
}

// claims are the ID token's claims under test.
type claims struct {
	SID      string `json:"sid"`
	AZP      string `json:"azp"`
	AuthTime int64  `json:"auth_time"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Customer string `json:"dwolla_customer"`
	Level    int    `json:"level"`
}

// identity is a verified answer of the token endpoint.
type identity struct {
	claims

	tokens *oauth2.Token
	raw    string // the ID token
	token  *oidc.IDToken
}

// redeem exchanges a code.
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
