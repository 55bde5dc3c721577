// Package provider is a small OpenID provider: for tests, for the sandbox and
// for the bench. Applications send browsers to it with the authorization code
// flow, and it answers with ID tokens; whoever wants a bearer token without a
// browser asks /token for one.
//
// It is never part of the server, and it never asks for a password: whoever
// reaches it is whoever they say. It forgets everything when it ends.
//
// The protocol is that of github.com/zitadel/oidc; the login page, the sessions
// and the back-channel logout are here. The routes:
//
//	GET  /.well-known/openid-configuration  the discovery document
//	GET  /keys                              the current key
//	GET  /authorize                         where an application sends a browser
//	GET  /login                             the page with one button for each user
//	POST /oauth/token                       a code for an ID token
//	GET  /userinfo                          the claims of a user
//	GET  /end_session                       where an application signs a browser out
//
// And for whoever develops an application:
//
//	GET  /token?user=NAME                   a bearer token for that user, as text
//	POST /logout-user?user=NAME             sign that user out everywhere
//	POST /rotate                            replace the key
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

// Options describe a provider.
type Options struct {
	Issuer    string                    // the URL under which it is reached, as tokens name it
	Audience  string                    // aud of the tokens for Users
	Users     map[string]map[string]any // by user name: the claims beside iss, aud, sub, iat and exp
	Life      time.Duration             // of those tokens, and of ID tokens; zero: one hour
	Clients   []Client                  // the applications that may send browsers; AddClient adds more
	Transport http.RoundTripper         // carries logout tokens to clients; nil: http.DefaultTransport
	Key       *rsa.PrivateKey           // signs until the first Rotate; nil: a new key
}

// Provider is an OpenID provider. It is safe for concurrent use.
type Provider struct {
	options  Options
	keys     *keyring
	store    *storage
	protocol *op.Provider
	pages    *template.Template
	handler  http.Handler
}

// New returns a provider with one RS256 key.
func New(o Options) (*Provider, error) {
	if o.Life == 0 {
		o.Life = time.Hour
	}
	keys := &keyring{}
	if o.Key != nil {
		keys.use(o.Key)
	} else if err := keys.rotate(); err != nil {
		return nil, err
	}
	p := &Provider{options: o, keys: keys, store: newStorage(o, keys)}
	for _, c := range o.Clients {
		p.AddClient(c)
	}
	config := &op.Config{
		CodeMethodS256:                    true,
		AuthMethodPost:                    true,
		DefaultLogoutRedirectURI:          o.Issuer + signedOutPath,
		BackChannelLogoutSupported:        true,
		BackChannelLogoutSessionSupported: true,
	}
	_, _ = rand.Read(config.CryptoKey[:]) // never fails
	var err error
	// Neither a page of another origin nor its scripts have business here.
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

// routes has of op's own routes only those that this provider is for: no
// introspection, no revocation, no device flow.
func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.publish)
	mux.Handle("/authorize", p.withIssuer(p.protocol))
	mux.Handle("/authorize/callback", p.withIssuer(p.protocol))
	mux.Handle("POST /oauth/token", p.protocol)
	mux.Handle("/userinfo", p.protocol)
	mux.Handle("GET /login", p.withIssuer(http.HandlerFunc(p.login)))
	mux.HandleFunc("GET /end_session", p.endSession)
	mux.HandleFunc("POST /end_session", p.endSession)
	mux.HandleFunc("GET "+signedOutPath, p.signedOut)
	mux.HandleFunc("GET /token", p.token)

	// A page of somebody else's must not press these buttons.
	own := http.NewCrossOriginProtection()
	mux.Handle("POST /login", own.Handler(p.withIssuer(http.HandlerFunc(p.signIn))))
	mux.Handle("POST /logout-user", own.Handler(http.HandlerFunc(p.logoutUser)))
	mux.Handle("POST /rotate", own.Handler(http.HandlerFunc(p.rotate)))
	return http.MaxBytesHandler(mux, maxBody)
}

// maxBody is far more than any form here holds.
const maxBody = 64 << 10

// ServeHTTP serves the routes that the package comment lists.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// AddClient makes an application known, or replaces the one with its ID.
func (p *Provider) AddClient(c Client) { p.store.addClient(c) }

// Rotate replaces the key: the next token is signed with a new one, and the old
// one is no longer published.
func (p *Provider) Rotate() error { return p.keys.rotate() }

// Fetches is how often the key set was asked for.
func (p *Provider) Fetches() int { return p.keys.fetched() }

// Token signs claims as they are, with the current key and typ at+jwt.
func (p *Provider) Token(claims map[string]any) (string, error) {
	return p.keys.sign("at+jwt", claims)
}

// TokenFor signs a token for one of the users, as /token does. The error says
// so when there is no such user.
func (p *Provider) TokenFor(user string) (string, error) {
	if err := p.knows(user); err != nil {
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
	maps.Copy(claims, p.options.Users[user])
	return p.Token(claims)
}

// knows returns an error when there is no such user.
func (p *Provider) knows(user string) error {
	if _, known := p.options.Users[user]; !known {
		return fmt.Errorf("no user is called %.100q", user)
	}
	return nil
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	token, err := p.TokenFor(r.FormValue("user"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, token) //nolint:gosec // a JWT, as text
}

func (p *Provider) rotate(w http.ResponseWriter, _ *http.Request) {
	if err := p.Rotate(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
