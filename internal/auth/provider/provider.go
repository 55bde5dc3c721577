// Package provider is a small OpenID provider for tests, the sandbox and the
// bench. It supports the authorization code flow, and signs bearer tokens on
// request.
//
// It never asks for a password: anyone can sign in as any user. It keeps its
// state in memory, and it is never part of the server.
//
// github.com/zitadel/oidc implements the protocol. This package adds the login
// page, the sessions and back-channel logout. The routes:
//
//	GET  /.well-known/openid-configuration  the discovery document
//	GET  /keys                              the current key
//	GET  /authorize                         starts a sign-in
//	GET  /login                             the login page, with a button for each user
//	POST /oauth/token                       exchanges a code for an ID token
//	GET  /userinfo                          the claims of a user
//	GET  /end_session                       signs a browser out
//
// Routes for developers:
//
//	GET  /token?user=NAME                   a bearer token for that user, as text
//	GET  /login-as?user=NAME&then=URL       signs that user in, and goes to a client's page
//	POST /logout-user?user=NAME             signs that user out everywhere
//	POST /rotate                            replaces the key
package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Options configure a provider.
type Options struct {
	Issuer     string                    // the provider's URL, and the iss claim
	BrowserURL string                    // where browsers reach the provider; empty: at the issuer
	Audience   string                    // the aud claim of bearer tokens
	Users      map[string]map[string]any // claims by user name, without iss, aud, sub, iat and exp
	Life       time.Duration             // of bearer and ID tokens; zero: one hour
	Clients    []Client                  // AddClient adds more
	Transport  http.RoundTripper         // carries logout tokens to clients; nil: http.DefaultTransport
	Key        *rsa.PrivateKey           // signs until the first Rotate; nil: a new key
	// Keep is called with the key of each Rotate, before that key signs. Its error
	// fails the Rotate. Key comes from the same place. Nil: keys live in memory.
	Keep func(*rsa.PrivateKey) error
}

// Provider is an OpenID provider. It is safe for concurrent use.
type Provider struct {
	options  Options
	keys     *signingKeys
	users    *users
	store    *storage
	protocol *op.Provider
	pages    *template.Template
	handler  http.Handler
}

// New returns a provider with one RS256 key. It does not listen.
func New(o Options) (*Provider, error) {
	if o.Life == 0 {
		o.Life = time.Hour
	}
	if o.BrowserURL == "" {
		o.BrowserURL = o.Issuer
	}
	keys := &signingKeys{idOf: numbered}
	if o.Keep != nil {
		keys.idOf = derived
	}
	if o.Key != nil {
		keys.use(o.Key)
	} else if err := keys.rotate(nil); err != nil {
		return nil, err
	}
	known := newUsers(o.Users)
	p := &Provider{options: o, keys: keys, users: known, store: newStorage(o, keys, known)}
	for _, c := range o.Clients {
		p.AddClient(c)
	}
	config := &op.Config{
		CodeMethodS256:                    true,
		AuthMethodPost:                    true,
		DefaultLogoutRedirectURI:          o.BrowserURL + signedOutPath,
		BackChannelLogoutSupported:        true,
		BackChannelLogoutSessionSupported: true,
	}
	_, _ = rand.Read(config.CryptoKey[:]) // never fails
	var err error
	// No CORS: pages of other origins have no use for it.
	p.protocol, err = op.NewProvider(config, p.store, op.StaticIssuer(o.Issuer), op.WithAllowInsecure(), op.WithCORSOptions(nil))
	if err != nil {
		return nil, fmt.Errorf("setting up the provider %s: %w", o.Issuer, err)
	}
	if p.pages, err = template.New("").Parse(pages); err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	p.handler = p.routes()
	return p, nil
}

// routes leaves out op's routes for introspection, revocation and devices.
func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.serveDiscovery)
	mux.HandleFunc("GET /keys", p.serveKeys)
	mux.Handle("/authorize", p.withIssuer(p.protocol))
	mux.Handle("/authorize/callback", p.withIssuer(p.protocol))
	mux.Handle("POST /oauth/token", p.protocol)
	mux.Handle("/userinfo", p.protocol)
	mux.Handle("GET /login", p.withIssuer(http.HandlerFunc(p.serveLogin)))
	mux.HandleFunc("GET /end_session", p.serveEndSession)
	mux.HandleFunc("POST /end_session", p.serveEndSession)
	mux.HandleFunc("GET "+signedOutPath, p.serveSignedOut)
	mux.HandleFunc("GET /token", p.serveToken)
	mux.HandleFunc("GET /login-as", p.serveLoginAs)

	// Pages of other origins must not post these forms.
	sameOrigin := http.NewCrossOriginProtection()
	mux.Handle("POST /login", sameOrigin.Handler(p.withIssuer(http.HandlerFunc(p.serveSignIn))))
	mux.Handle("POST /logout-user", sameOrigin.Handler(http.HandlerFunc(p.serveLogoutUser)))
	mux.Handle("POST /rotate", sameOrigin.Handler(http.HandlerFunc(p.serveRotate)))
	return http.MaxBytesHandler(mux, maxBody)
}

const maxBody = 64 << 10 // bytes; far more than any form here

// ServeHTTP serves the routes that the package comment lists.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// AddClient registers a client, or replaces the one with the same ID.
func (p *Provider) AddClient(c Client) { p.store.addClient(c) }

// AddUser adds a user with these claims. A name that is taken, and too many users,
// are errors.
func (p *Provider) AddUser(name string, claims map[string]any) error {
	return p.users.add(name, claims)
}

// Rotate replaces the key. The new key signs and is published from now on.
func (p *Provider) Rotate() error { return p.keys.rotate(p.options.Keep) }

// Fetches returns how many requests for the key set there were.
func (p *Provider) Fetches() int { return p.keys.fetchCount() }

// Token signs exactly these claims with the current key and typ at+jwt.
func (p *Provider) Token(claims map[string]any) (string, error) {
	return p.keys.sign("at+jwt", claims)
}

// TokenFor signs a bearer token for one of the users. An unknown user is an error.
func (p *Provider) TokenFor(user string) (string, error) {
	known, err := p.claimsOf(user)
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims := map[string]any{
		"iss": p.options.Issuer,
		"aud": p.options.Audience,
		"sub": user,
		"iat": now.Unix(),
		"exp": now.Add(p.options.Life).Unix(),
	}
	maps.Copy(claims, known)
	return p.Token(claims)
}

func (p *Provider) claimsOf(user string) (map[string]any, error) {
	claims, known := p.users.of(user)
	if !known {
		return nil, fmt.Errorf("there is no user %.100q", user)
	}
	return claims, nil
}

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	token, err := p.TokenFor(r.FormValue("user"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, token) //nolint:gosec // a JWT, as text
}

func (p *Provider) serveRotate(w http.ResponseWriter, _ *http.Request) {
	if err := p.Rotate(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
