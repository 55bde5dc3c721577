package handler_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"dropgate/internal/auth"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// claimed signs a token with alice's claims and these in their place; a nil one
// is left out. A good signature, whatever it says.
func (w *world) claimed(t *testing.T, changed map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": issuer, "aud": audience, "sub": alice, "dwolla_customer": alicesID,
		"exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token := w.bearers.Sign(claims)
	w.tokens.add(token)
	return token
}

// forged puts another head and another signature on a good token.
func (w *world) forged(head string, sign func(input string) []byte) string {
	parts := strings.Split(w.token(alice), ".")
	input := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + parts[1]
	token := input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
	w.tokens.add(token)
	return token
}

// publicKey is the provider's public key, as its key set has it.
func publicKey(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(signingKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (w *world) badTokens(t *testing.T) map[string]struct{ token, reason string } {
	t.Helper()
	stranger := oidctest.New(t, provider.Options{Issuer: issuer, Audience: audience, Users: map[string]map[string]any{alice: {"dwolla_customer": alicesID}}})
	foreign := stranger.Bearer(alice)
	w.tokens.add(foreign)
	unsigned := func(string) []byte { return nil }
	withPublicKey := func(input string) []byte {
		mac := hmac.New(sha256.New, publicKey(t))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	good := w.token(alice)
	another := strings.Split(w.token(bob), ".")[1]
	parts := strings.Split(good, ".")
	return map[string]struct{ token, reason string }{
		"expired":                   {w.claimed(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), "exp"},
		"without an expiry":         {w.claimed(t, map[string]any{"exp": nil}), "no exp"},
		"of another issuer":         {w.claimed(t, map[string]any{"iss": "https://evil.example"}), "iss"},
		"for another audience":      {w.claimed(t, map[string]any{"aud": "another"}), "aud"},
		"not good yet":              {w.claimed(t, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), "nbf"},
		"without a user":            {w.claimed(t, map[string]any{"sub": nil}), "sub"},
		"of a user with a newline":  {w.claimed(t, map[string]any{"sub": "a\nb"}), "sub"},
		"signed by a stranger":      {foreign, "none of the provider's keys"},
		"unsigned":                  {w.forged(`{"alg":"RS256","typ":"at+jwt","kid":"key-1"}`, unsigned), "none of the provider's keys"},
		"alg none":                  {w.forged(`{"alg":"none","typ":"at+jwt"}`, unsigned), "not signed"},
		"HS256 with the public key": {w.forged(`{"alg":"HS256","typ":"at+jwt","kid":"key-1"}`, withPublicKey), "shared secret"},
		"with another's claims":     {parts[0] + "." + another + "." + parts[2], "none of the provider's keys"},
		"of another type":           {w.forged(`{"alg":"RS256","typ":"logout+jwt","kid":"key-1"}`, unsigned), "type"},
		"not a token":               {"0123456789abcdef0123456789", "not a JSON Web Token"},
		"empty":                     {"", "not a JSON Web Token"},
	}
}

// challenges fails t unless a has this challenge.
func (a *answer) challenges(t *testing.T, challenge string) {
	t.Helper()
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
	if got := strings.Join(a.header["Www-Authenticate"], "; "); got != challenge {
		t.Errorf("WWW-Authenticate is %q, want %q", got, challenge)
	}
	if a.header.Get("Retry-After") != "" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}

func TestBadCredentialsReasonIsOnlyInTheLog(t *testing.T) {
	w := newWorld(t)
	messages := map[string]bool{}
	for name, bad := range w.badTokens(t) {
		t.Run(name, func(t *testing.T) {
			for _, a := range []answer{
				w.vend(t, nobody, `{"action":"customer.read"}`, header("Authorization", "Bearer "+bad.token)),
				w.get(t, nobody, "/session", header("Authorization", "Bearer "+bad.token)),
				w.vend(t, nobody, `not read before`, header("Authorization", "bearer "+bad.token), inCookie, header("Origin", w.url)),
			} {
				a.challenges(t, `Bearer realm="dropgate", error="invalid_token"`)
				messages[a.problem.Message] = true
				if !strings.Contains(a.access.Reason, bad.reason) {
					t.Errorf("the log says %q, want a word of %q", a.access.Reason, bad.reason)
				}
				a.access.has(t, accessLine{User: empty, Mode: empty})
				if bad.token != "" && strings.Contains(a.body+w.logs.text(), bad.token) {
					t.Error("the token is in the answer or the log")
				}
			}
		})
	}
	if len(messages) != 1 {
		t.Errorf("the answers differ: %v", messages)
	}
}

func TestMissingCredentialsGetAChallenge(t *testing.T) {
	w := newWorld(t)
	for name, edit := range map[string]with{
		"none":             without("Authorization"),
		"another scheme":   header("Authorization", "Basic dXNlcjpwYXNz"),
		"another cookie":   header("Cookie", "other=x"),
		"no scheme at all": header("Authorization", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range []answer{w.vend(t, nobody, `{}`, edit), w.get(t, nobody, "/session", edit)} {
				a.challenges(t, `Bearer realm="dropgate"`)
			}
		})
	}
}

// anybody is a mode: every caller is bob.
type anybody struct{}

func (anybody) Name() string { return "anybody" }

func (anybody) Authenticate(*http.Request, *ratelimit.Charge) (auth.Session, error) {
	return auth.Session{Mode: "anybody", User: clienttoken.User{ID: bob, Claims: map[string]any{"dwolla_customer": bobsID}}}, nil
}

func TestBadTokenNeverFallsThrough(t *testing.T) {
	w := newWorld(t, func(s *setup) { s.modesAfter = []auth.Mode{anybody{}} })
	a := w.vend(t, nobody, `{"action":"customer.read"}`)
	a.vended(t, strings.ReplaceAll(w.filled(sentRead), alicesID, bobsID))
	a.audit.has(t, line{"mode": "anybody", "user": bob})
	for name, bad := range w.badTokens(t) {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, nobody, `{"action":"customer.read"}`, header("Authorization", "Bearer "+bad.token))
			a.refused(t, http.StatusUnauthorized, "Unauthenticated")
			good := &http.Cookie{Name: cookieName, Value: w.token(alice)}
			a = w.vend(t, nobody, `{"action":"customer.read"}`, header("Authorization", "Bearer "+bad.token),
				header("Cookie", good.String()), header("Origin", w.url))
			a.refused(t, http.StatusUnauthorized, "Unauthenticated")
		})
	}
}

func TestMissingKeysAreAnOutage(t *testing.T) {
	w := newWorld(t, func(s *setup) {
		s.keys = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	})
	for _, a := range []answer{
		w.vend(t, alice, `{"action":"customer.read"}`),
		w.get(t, alice, "/session"),
		w.vend(t, nobody, `{}`, header("Authorization", "Bearer garbage")),
	} {
		a.refused(t, http.StatusServiceUnavailable, "Unavailable")
		if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 30 {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
		if a.header.Get("WWW-Authenticate") != "" {
			t.Error("a sign-in is asked for that cannot help")
		}
	}
	a := w.vend(t, nobody, `{}`)
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
}
