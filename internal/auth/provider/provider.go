// Package provider is a small identity provider over HTTP: for tests, for the
// sandbox and for the bench. It publishes a discovery document and a key set,
// signs whatever its owner asks for, and hands a token to anybody who names one
// of its users.
//
// It is never part of the server, and it never asks for a password: whoever
// reaches it is whoever they say.
package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Options describe a provider.
type Options struct {
	Issuer   string                    // the URL under which it is reached, as tokens name it
	Audience string                    // aud of the tokens for Users
	Users    map[string]map[string]any // by user name: the claims beside iss, aud, sub, iat and exp
	Life     time.Duration             // of those tokens; zero: one hour
}

// Provider is an identity provider. It is safe for concurrent use.
type Provider struct {
	options Options
	mux     *http.ServeMux

	mu        sync.Mutex
	key       *rsa.PrivateKey
	published []jose.JSONWebKey
	rotations int
	fetches   int
}

// New returns a provider with one RS256 key.
func New(o Options) (*Provider, error) {
	if o.Life == 0 {
		o.Life = time.Hour
	}
	p := &Provider{options: o, mux: http.NewServeMux()}
	p.mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	p.mux.HandleFunc("GET /keys", p.keys)
	p.mux.HandleFunc("GET /token", p.token)
	return p, p.Rotate()
}

// ServeHTTP serves the discovery document, the key set at /keys, and at
// /token?user=NAME a token for one of the users, as text.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Rotate replaces the key: the next token is signed with a new one, and the old
// one is no longer published.
func (p *Provider) Rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rotations++
	p.key = key
	p.published = []jose.JSONWebKey{{
		Key: key.Public(), KeyID: p.keyID(), Algorithm: string(jose.RS256), Use: "sig",
	}}
	return nil
}

// Fetches is how often the key set was asked for.
func (p *Provider) Fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches
}

// Token signs claims as they are, with the current key and typ at+jwt.
func (p *Provider) Token(claims map[string]any) (string, error) {
	p.mu.Lock()
	key := jose.JSONWebKey{Key: p.key, KeyID: p.keyID()}
	p.mu.Unlock()
	options := (&jose.SignerOptions{}).WithType("at+jwt")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

// TokenFor signs a token for one of the users, as /token does. The error says
// so when there is no such user.
func (p *Provider) TokenFor(user string) (string, error) {
	own, known := p.options.Users[user]
	if !known {
		return "", fmt.Errorf("no user is called %.100q", user)
	}
	now := time.Now()
	claims := map[string]any{
		"iss": p.options.Issuer,
		"aud": p.options.Audience,
		"sub": user,
		"iat": now.Unix(),
		"exp": now.Add(p.options.Life).Unix(),
	}
	maps.Copy(claims, own)
	return p.Token(claims)
}

// keyID names the current key. The caller holds mu.
func (p *Provider) keyID() string { return fmt.Sprintf("key-%d", p.rotations) }

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"issuer":                                p.options.Issuer,
		"jwks_uri":                              p.options.Issuer + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	p.fetches++
	set := jose.JSONWebKeySet{Keys: p.published}
	p.mu.Unlock()
	writeJSON(w, set)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	token, err := p.TokenFor(r.FormValue("user"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, token)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that has gone away is its own loss
}
