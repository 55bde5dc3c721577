package auth_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

// clientKeyPEM is a private key in PKCS #8.
func clientKeyPEM(key crypto.Signer) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
}

func clientKeys(t *testing.T, texts ...string) []*auth.ClientKey {
	t.Helper()
	keys, err := auth.ParseClientKeys(clienttoken.NewSecret(strings.Join(texts, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func noBasic(r *http.Request) bool { return r.Header.Get("Authorization") == "" }

// provedBy accepts an assertion signed by one of the keys, once.
func provedBy(used map[string]bool, keys ...crypto.PublicKey) func(*http.Request) bool {
	return func(r *http.Request) bool {
		token, err := jwt.ParseSigned(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
		if err != nil || !noBasic(r) || r.PostForm.Has("client_secret") || r.PostForm.Get("client_id") != clientID ||
			r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			return false
		}
		for _, key := range keys {
			var claims jwt.Claims
			if token.Claims(key, &claims) != nil {
				continue
			}
			life := claims.Expiry.Time().Sub(claims.IssuedAt.Time())
			ok := claims.Issuer == clientID && claims.Subject == clientID && len(claims.Audience) == 1 && claims.Audience[0] == issuer &&
				claims.ID != "" && !used[claims.ID] && life == time.Minute && claims.IssuedAt.Time().Equal(time.Now().Truncate(time.Second))
			used[claims.ID] = true
			return ok
		}
		return false
	}
}

func TestClientProvesItsIdentityAsConfigured(t *testing.T) {
	keys := func(t *testing.T, private ...crypto.Signer) func(*auth.OIDCConfig) {
		t.Helper()
		var texts []string
		for _, key := range private {
			texts = append(texts, clientKeyPEM(key))
		}
		parsed := clientKeys(t, texts...)
		return func(c *auth.OIDCConfig) { c.ClientKeys, c.ClientSecret = parsed, clienttoken.Secret{} }
	}
	post := func(r *http.Request) bool {
		return noBasic(r) && r.PostForm.Get("client_id") == clientID && r.PostForm.Get("client_secret") == clientSecret
	}
	public := func(r *http.Request) bool {
		return noBasic(r) && r.PostForm.Get("client_id") == clientID && !r.PostForm.Has("client_secret") && !r.PostForm.Has("client_assertion")
	}
	methods := func(names ...string) object { return object{"token_endpoint_auth_methods_supported": names} }
	chosen := func(way auth.ClientAuth) func(*auth.OIDCConfig) {
		return func(c *auth.OIDCConfig) { c.ClientAuth = way }
	}
	used := map[string]bool{}
	for name, c := range map[string]struct {
		metadata object
		config   func(*auth.OIDCConfig)
		client   func(*http.Request) bool
		code     string
	}{
		"basic by default":            {nil, chosen(""), nil, ""},
		"post alone announced":        {methods("client_secret_post", "private_key_jwt"), chosen(""), post, ""},
		"basic announced, too":        {methods("client_secret_post", "client_secret_basic"), chosen(""), nil, ""},
		"post chosen":                 {methods("client_secret_basic"), chosen(auth.SecretPost), post, ""},
		"basic chosen":                {methods("client_secret_post"), chosen(auth.SecretBasic), nil, ""},
		"public":                      {methods("none"), func(c *auth.OIDCConfig) { c.ClientSecret = clienttoken.Secret{} }, public, ""},
		"public chosen":               {nil, chosen(auth.PublicClient), public, ""},
		"an RSA key":                  {nil, keys(t, otherKey()), provedBy(used, otherKey().Public()), ""},
		"an RSA key, PS256 announced": {object{"token_endpoint_auth_signing_alg_values_supported": []string{"PS256"}}, keys(t, otherKey()), provedBy(used, otherKey().Public()), ""},
		"an EC key":                   {nil, keys(t, ecKey()), provedBy(used, ecKey().Public()), ""},
		"an Ed25519 key":              {nil, keys(t, edKey()), provedBy(used, edKey().Public()), ""},
		"the second key":              {nil, keys(t, otherKey(), ecKey()), provedBy(used, ecKey().Public()), ""},
		"no key that fits":            {object{"token_endpoint_auth_signing_alg_values_supported": []string{"ES512"}}, keys(t, otherKey()), provedBy(used, otherKey().Public()), "exchange_refused"},
		"unknown keys":                {nil, keys(t, otherKey(), ecKey()), provedBy(used), "exchange_refused"},
		"no key at all":               {nil, chosen(auth.PrivateKeyJWT), provedBy(used), "exchange_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.serveMetadata(c.metadata)
				w.op.client = c.client
				w.checkSignIn(t, c.code)
			}, func(o *auth.OIDCConfig) { o.SealingKeys = keyring.Of(clienttoken.NewSecret("sealing")) }, c.config)
		})
	}
}

func TestClientKeyFilesWithFaultsAreRefused(t *testing.T) {
	good, own := clientKeyPEM(otherKey()), certificate(otherKey(), time.Now())
	for name, text := range map[string]string{
		"empty": "", "no PEM": "key", "public key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(otherKey().Public()))})),
		"cut": good[:len(good)/2], "one, and one cut": good + good[:200], "text after it": good + "x", "garbage inside": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"encrypted": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "weak": clientKeyPEM(newRSA(1024)),
		"certificate first": own + good, "another's certificate": good + certificate(ecKey(), time.Now()), "four keys": good + good + good + good,
	} {
		keys, err := auth.ParseClientKeys(clienttoken.NewSecret(text))
		if err == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		} else if strings.Contains(err.Error(), "MII") {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
	if got := len(clientKeys(t, good, own, clientKeyPEM(ecKey()), certificate(ecKey(), time.Now()))); got != 2 {
		t.Errorf("%d keys", got)
	}
}
