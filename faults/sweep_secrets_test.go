//go:build faults

package faults_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// secrets holds every secret value of a test, from the settings or created during the
// test. Each has a public name.
type secrets struct {
	mu     sync.Mutex
	byName map[string]string // from value to name
	used   map[string]bool   // the names of secrets in use

	impostor     http.HandlerFunc // answers instead of Dwolla or the provider, unless nil
	impostorPath string           // this path of the provider; empty: Dwolla
}

func newSecrets() *secrets {
	return &secrets{byName: map[string]string{}, used: map[string]bool{}}
}

// newValue makes a secret with characters that every encoding changes.
func (s *secrets) newValue(name string) string {
	value := rand.Text() + "+/" + rand.Text()
	s.addUnused(name, value)
	return value
}

// newKey makes a random key of 32 bytes, and returns it in base64.
func (s *secrets) newKey(name string) string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s.addUnused(name, string(key))
	return base64.StdEncoding.EncodeToString(key)
}

// newPrivateKey returns a key in PEM. Its first line stands for the whole.
func (s *secrets) newPrivateKey(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	s.add(name, strings.Split(text, "\n")[1])
	return text
}

// addUnused records a secret. It ignores short values, which would match other text.
func (s *secrets) addUnused(name, value string) {
	if len(value) < minSecret {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[value] = name
}

// addJWT records the signature of a JSON Web Token. Header and claims alone are not
// secret, and the log has the user id. It records any other token whole.
func (s *secrets) addJWT(name, value string) {
	s.addUnused(name, value[strings.LastIndexByte(value, '.')+1:])
}

// add records a secret in use.
func (s *secrets) add(name, value string) {
	s.addUnused(name, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[name] = true
}

// markUsed marks all secrets in a text as used. The other side calls it with text from
// the server that it received or accepted.
func (s *secrets) markUsed(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for value, name := range s.byName {
		if !s.used[name] && strings.Contains(text, value) {
			s.used[name] = true
		}
	}
}

// names maps each secret to its name.
func (s *secrets) names() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byName)
}

// requireUsed fails the test unless secrets of all these names were in use. An unused
// secret proves nothing.
func (s *secrets) requireUsed(t *testing.T, names []string) {
	t.Helper()
	known := slices.Collect(maps.Values(s.names()))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if !slices.Contains(known, name) || !s.used[name] {
			t.Errorf("%s was never used", name)
		}
	}
}

// addCredentials records the credentials of a request.
func (s *secrets) addCredentials(name string, h http.Header) {
	if _, value, found := strings.Cut(h.Get("Authorization"), " "); found {
		s.add(name, value)
	}
}

// watchDwolla records the secrets between Dwolla and the server.
func (s *secrets) watchDwolla(dwolla http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			s.addCredentials("the Basic credentials for /token", r.Header)
			_, password, _ := r.BasicAuth()
			s.markUsed(password + " " + unescaped(password)) // RFC 6749, section 2.3.1
		} else {
			s.addCredentials("an access token", r.Header)
		}
		if impostor := s.at(""); impostor != nil {
			impostor(w, r)
			return
		}
		copied := &copier{ResponseWriter: w}
		dwolla.ServeHTTP(copied, r)
		s.addTokens(copied.body.Bytes())
	})
}

// replaceAnswers replaces the answers at a path of the provider. If the path is empty it
// replaces Dwolla's.
func (s *secrets) replaceAnswers(path string, h http.HandlerFunc) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.impostor, s.impostorPath = h, path
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.impostor = nil
	}
}

func (s *secrets) at(path string) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path != s.impostorPath {
		return nil
	}
	return s.impostor
}

// addTokens records the tokens in an answer of Dwolla or of the provider.
func (s *secrets) addTokens(body []byte) {
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
		s.addJWT("an ID token", value)
		s.markUsed(value)
	}
}

// watchProvider records the secrets between the provider, browsers and the server.
func (s *secrets) watchProvider(provider http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // the provider refuses invalid forms
		secretParameters(r.Form, s.add)
		s.addCredentials("credentials for the provider", r.Header)
		_, password, _ := r.BasicAuth()
		s.markUsed(unescaped(password))
		if impostor := s.at(r.URL.Path); impostor != nil {
			impostor(w, r)
			return
		}
		copied := &copier{ResponseWriter: w}
		provider.ServeHTTP(copied, r)
		s.addTokens(copied.body.Bytes())
		if to, err := url.Parse(w.Header().Get("Location")); err == nil {
			secretParameters(to.Query(), s.addUnused)
		}
	})
}

// secretParameters records the secrets among OpenID Connect's parameters. The state is
// secret during the sign-in.
func secretParameters(values url.Values, remember func(name, value string)) {
	for _, name := range []string{"code", "state", "nonce", "code_verifier"} {
		remember("a "+name, values.Get(name))
	}
}

func unescaped(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// watchLogouts records the logout tokens from the provider.
func (s *secrets) watchLogouts(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if values, err := url.ParseQuery(string(body)); err == nil {
			s.addJWT("a logout token", values.Get("logout_token"))
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := next.RoundTrip(r)
		if err == nil && resp.StatusCode == http.StatusOK {
			s.markUsed(string(body))
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// copier keeps the first bytes of an answer.
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

// watchCookies records a browser's cookies, and marks the accepted ones as used.
func (s *secrets) watchCookies(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		for _, cookie := range resp.Cookies() {
			s.addUnused("the cookie "+strings.TrimRight(cookie.Name, "01234567"), cookie.Value) // the sign-in cookie's name ends in a digit
		}
		if resp.StatusCode < http.StatusBadRequest {
			s.markUsed(r.Header.Get("Cookie"))
		}
		return resp, nil
	})
}
