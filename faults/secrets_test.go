//go:build faults

package faults_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// secrets are all that nobody may see but those whom they are for, by their
// value: those that the settings hold, and those that arise. Each has a name
// that may be told.
type secrets struct {
	mu     sync.Mutex
	byName map[string]string // the names, by the values

	impostor http.HandlerFunc // answers in the place of Dwolla or the provider, unless nil
	only     string           // at that path of the provider; empty: Dwolla
}

func newSecrets() *secrets { return &secrets{byName: map[string]string{}} }

// invent makes up a value in which every encoding changes something.
func (s *secrets) invent(name string) string {
	value := rand.Text() + "+/" + rand.Text()
	s.add(name, value)
	return value
}

// key makes up a key of 32 bytes, and returns it in base64.
func (s *secrets) key(name string) string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s.add(name, string(key))
	s.add(name+", in base64", base64.StdEncoding.EncodeToString(key))
	return base64.StdEncoding.EncodeToString(key)
}

// add remembers a secret. Values that are too short to be told from other text
// are no secrets.
func (s *secrets) add(name, value string) {
	if len(value) < shortest {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[value] = name
}

// jwt remembers a JSON Web Token. Its header and its claims alone are worth
// nothing without the signature, and user ids, which it claims, are in the log.
func (s *secrets) jwt(name, value string) {
	s.add(name, value)
	s.add("the signature of "+name, value[strings.LastIndexByte(value, '.')+1:])
}

// names are the names by the values.
func (s *secrets) names() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byName)
}

// has fails the test unless there are secrets with all of these names: what was
// never remembered is not looked for.
func (s *secrets) has(t *testing.T, names ...string) {
	t.Helper()
	known := slices.Collect(maps.Values(s.names()))
	for _, name := range names {
		if !slices.Contains(known, name) {
			t.Errorf("%s never arose, so it was not looked for", name)
		}
	}
}

// authorization remembers the credentials of a request.
func (s *secrets) authorization(name string, h http.Header) {
	if _, value, found := strings.Cut(h.Get("Authorization"), " "); found {
		s.add(name, value)
	}
}

// ofDwolla remembers what is secret between Dwolla and the server.
func (s *secrets) ofDwolla(dwolla http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			s.authorization("the Basic credentials for /token", r.Header)
		} else {
			s.authorization("an access token", r.Header)
		}
		if impostor := s.at(""); impostor != nil {
			impostor(w, r)
			return
		}
		copied := &copier{ResponseWriter: w}
		dwolla.ServeHTTP(copied, r)
		s.answer(copied.body.Bytes())
	})
}

// instead has somebody else answer at a path of the provider, or in the place of
// Dwolla where it is empty.
func (s *secrets) instead(path string, h http.HandlerFunc) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.impostor, s.only = h, path
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.impostor = nil
	}
}

func (s *secrets) at(path string) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path != s.only {
		return nil
	}
	return s.impostor
}

// answer remembers the tokens in an answer of Dwolla or of the provider.
func (s *secrets) answer(body []byte) {
	var tokens map[string]any
	if json.Unmarshal(body, &tokens) != nil {
		return
	}
	for member, name := range map[string]string{"token": "a client token", "access_token": "an access token", "blob": "a blob"} {
		if value, ok := tokens[member].(string); ok {
			s.add(name, value)
		}
	}
	if value, ok := tokens["id_token"].(string); ok {
		s.jwt("an ID token", value)
	}
}

// ofProvider remembers what is secret between the provider, the browsers and the
// server.
func (s *secrets) ofProvider(provider http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // what cannot be parsed is the provider's to refuse
		s.form(r.Form)
		s.authorization("credentials for the provider", r.Header)
		if impostor := s.at(r.URL.Path); impostor != nil {
			impostor(w, r)
			return
		}
		copied := &copier{ResponseWriter: w}
		provider.ServeHTTP(copied, r)
		s.answer(copied.body.Bytes())
		if to, err := url.Parse(w.Header().Get("Location")); err == nil {
			s.form(to.Query())
		}
	})
}

// form remembers the secrets among the parameters of OpenID Connect. The state
// is one until the sign-in is over.
func (s *secrets) form(values url.Values) {
	for _, name := range []string{"code", "state", "nonce", "code_verifier", "client_secret", "logout_token", "id_token_hint"} {
		s.add("a "+name, values.Get(name))
	}
}

// ofLogouts remembers the logout tokens that the provider sends.
func (s *secrets) ofLogouts(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if values, err := url.ParseQuery(string(body)); err == nil {
			s.jwt("a logout token", values.Get("logout_token"))
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// copier keeps the beginning of an answer.
type copier struct {
	http.ResponseWriter

	body bytes.Buffer
}

// Write implements http.ResponseWriter.
func (c *copier) Write(p []byte) (int, error) {
	if c.body.Len() < 64<<10 {
		_, _ = c.body.Write(p)
	}
	return c.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (c *copier) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// ofCookies remembers the cookies that a browser gets.
func (s *secrets) ofCookies(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil {
			for _, cookie := range resp.Cookies() {
				s.add("the cookie "+cookie.Name, cookie.Value)
			}
		}
		return resp, err
	})
}
