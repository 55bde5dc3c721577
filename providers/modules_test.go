package providers_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The modules of OpenID's conformance suite for relying parties, by plan. The suite
// itself does not run here.

func basicModules() []string {
	return strings.Fields(`
		oidcc-client-test oidcc-client-test-invalid-iss oidcc-client-test-missing-sub oidcc-client-test-invalid-aud
		oidcc-client-test-missing-iat oidcc-client-test-kid-absent-single-jwks oidcc-client-test-kid-absent-multiple-jwks
		oidcc-client-test-idtoken-sig-rs256 oidcc-client-test-idtoken-sig-none oidcc-client-test-invalid-sig-rs256
		oidcc-client-test-userinfo-invalid-sub oidcc-client-test-nonce-invalid oidcc-client-test-scope-userinfo-claims
		oidcc-client-test-client-secret-basic`)
}

func configModules() []string {
	return strings.Fields(`
		oidcc-client-test-discovery-openid-config oidcc-client-test-discovery-jwks-uri-keys oidcc-client-test-discovery-issuer-mismatch
		oidcc-client-test-idtoken-sig-none oidcc-client-test-signing-key-rotation-just-before-signing oidcc-client-test-signing-key-rotation`)
}

// module is what the provider does in one module.
type module struct {
	shape func(o *op)
	code  string    // of the failure; empty if the sign-in succeeds
	then  func(*op) // before a second sign-in, with the same outcome
}

const moduleUser = "jane@example.com"

// moduleRow is a provider with one RSA key. Its ID tokens have no claim about the user
// but sub, so the scopes profile and email lead to the userinfo endpoint.
func moduleRow() oidcRow {
	return oidcRow{
		settings: `
			AUTH_OIDC_ISSUER=https://op.example.com/test/a/dropgate/
			AUTH_OIDC_CLIENT_ID=dropgate
			AUTH_USER_CLAIM=email`,
		document: described("https://op.example.com/test/a/dropgate/", `
			authorization_endpoint=/authorize
			token_endpoint=/token
			jwks_uri=/jwks
			userinfo_endpoint=/userinfo
			end_session_endpoint=/end_session
			token_endpoint_auth_methods_supported=client_secret_basic
			id_token_signing_alg_values_supported=RS256`),
		algorithm: "RS256", claims: object{"sub": "user-subject-1234531"},
		userinfo: object{"email": moduleUser, "email_verified": true, "name": "Jane"},
	}
}

// claimed sets one claim of the ID token; nil removes it.
func claimed(name string, value any) func(o *op) {
	return func(o *op) { o.claims[name] = value }
}

// signing replaces the signature of the ID token.
func signing(as signed) func(o *op) {
	return func(o *op) { o.sign = as.text }
}

func modules() map[string]module {
	const prefix = "oidcc-client-test"
	withoutKid := signing(signed{algorithm: "RS256", key: rsaKey()})
	plain := module{shape: func(*op) {}}
	return map[string]module{
		prefix:                              plain,
		prefix + "-scope-userinfo-claims":   plain,
		prefix + "-client-secret-basic":     plain,
		prefix + "-idtoken-sig-rs256":       plain,
		prefix + "-discovery-openid-config": plain,
		prefix + "-discovery-jwks-uri-keys": {shape: func(o *op) { o.document["jwks_uri"] = "https://keys.example.com/set" }},
		prefix + "-invalid-iss":             {shape: claimed("iss", "https://op.example.com/test/a/another/"), code: "id_token_invalid"},
		prefix + "-invalid-aud":             {shape: claimed("aud", "another"), code: "id_token_invalid"},
		prefix + "-missing-iat":             {shape: claimed("iat", nil), code: "id_token_invalid"},
		prefix + "-nonce-invalid":           {shape: claimed("nonce", "another"), code: "nonce_mismatch"},
		prefix + "-missing-sub": {
			shape: func(o *op) { o.claims = object{"email": moduleUser, "email_verified": true, "name": "Jane"} }, code: "id_token_invalid",
		},
		prefix + "-kid-absent-single-jwks": {shape: withoutKid},
		prefix + "-kid-absent-multiple-jwks": {code: "id_token_invalid", shape: func(o *op) { // a key among several needs a kid (Core 1.0, 10.1)
			withoutKid(o)
			stranger := jose.JSONWebKey{Key: newRSAKey().Public(), KeyID: "another", Algorithm: "RS256", Use: "sig"}
			own := jose.JSONWebKey{Key: rsaKey().Public(), KeyID: keyID, Algorithm: "RS256", Use: "sig"}
			o.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{stranger, own}}
		}},
		prefix + "-idtoken-sig-none":     {shape: func(o *op) { o.sign = unsigned }, code: "id_token_invalid"},
		prefix + "-invalid-sig-rs256":    {shape: signing(signed{algorithm: "RS256", key: newRSAKey(), kid: keyID}), code: "id_token_invalid"},
		prefix + "-userinfo-invalid-sub": {shape: func(o *op) { o.userinfo["sub"] = "another" }, code: "exchange_failed"},
		prefix + "-signing-key-rotation": {shape: func(*op) {}, then: rotate},
		prefix + "-signing-key-rotation-just-before-signing": {shape: func(o *op) {
			o.sign = func(claims object) string {
				rotate(o)
				return o.sign(claims)
			}
		}},
		prefix + "-discovery-issuer-mismatch": {shape: func(o *op) { o.document["issuer"] = "https://op.example.com/another/" }, code: "Unavailable"},
	}
}

// rotate replaces the provider's only key.
func rotate(o *op) {
	key := newRSAKey()
	o.keys = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "a new key", Algorithm: "RS256", Use: "sig"}}}
	o.sign = signed{algorithm: "RS256", key: key, kid: "a new key"}.text
}

func newRSAKey() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

// unsigned is a token with the algorithm none.
func unsigned(claims object) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(must(json.Marshal(claims))) + "."
}

func TestRelyingPartyModulesOfSignIn(t *testing.T) {
	t.Parallel()
	all := modules()
	for plan, names := range map[string][]string{"basic": basicModules(), "config": configModules()} {
		for _, name := range names {
			t.Run(plan+"/"+name, func(t *testing.T) {
				t.Parallel()
				m, ok := all[name]
				if !ok {
					t.Fatal("no test of this module")
				}
				w := startOIDC(t, moduleRow(), m.shape)
				w.outcome(t, m.code)
				if m.then != nil {
					w.change(m.then)
					w.outcome(t, m.code)
				}
			})
		}
	}
}

// outcome signs in, and expects the user or a failure with this code.
func (w oidcWorld) outcome(t *testing.T, code string) {
	t.Helper()
	if code != "" {
		w.refused(t, "sign-in", code)
		return
	}
	b, page := w.signIn(t)
	if user, _ := b.user(); user != moduleUser || page.url.Path != "/" || page.status == http.StatusServiceUnavailable {
		t.Fatalf("user %q, on the page %s: %s\n%s", user, page.url, page.text, w.service.logs)
	}
}
