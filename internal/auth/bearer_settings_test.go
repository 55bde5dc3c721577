package auth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

type bearerEdit = func(*auth.BearerConfig, *auth.KeySetConfig)

func TestClientIDsReplaceTheAudience(t *testing.T) {
	clients := func(c *auth.BearerConfig, _ *auth.KeySetConfig) {
		c.Audience, c.ClientIDs = "", []string{"web", "https://app.example.com"}
	}
	none := absent{}
	runAttempts(t, bearerMode(clients), []attempt{
		{"client_id", bearer(tokenWith(object{"aud": none, "client_id": "web"})), alice},
		{"azp", bearer(tokenWith(object{"aud": none, "azp": "https://app.example.com"})), alice},
		{"cid", bearer(tokenWith(object{"aud": none, "cid": "web"})), alice},
		{"appid", bearer(tokenWith(object{"aud": none, "appid": "web"})), alice},
		{"aud null", bearer(tokenWith(object{"aud": nil, "appid": "web"})), alice},
		{"aud empty", bearer(tokenWith(object{"aud": []string{}, "appid": "web"})), alice},
		{"another client", bearer(tokenWith(object{"aud": none, "cid": "other"})), refused},
		{"two clients", bearer(tokenWith(object{"aud": none, "cid": "web", "azp": "other"})), refused},
		{"client a list", bearer(tokenWith(object{"aud": none, "cid": []string{"web"}})), refused},
		{"client null", bearer(tokenWith(object{"aud": none, "cid": nil})), refused},
		{"no client", bearer(tokenWith(object{"aud": none})), refused},
		{"an aud", bearer(tokenWith(object{"client_id": "web"})), refused},
		{"the client as aud, as in an ID token", bearer(tokenWith(object{"aud": "web", "azp": "web"})), refused},
	})
}

func TestRequiredClaimsMustHaveTheirValues(t *testing.T) {
	mode := func(required ...string) bearerEdit {
		return func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.Required = required }
	}
	runAttempts(t, bearerMode(mode("token_use=access", "app.admin=true", "scp=pay", "/n=7")), []attempt{
		{"all", bearer(tokenWith(object{"token_use": "access", "app": object{"admin": true}, "scp": []string{"read", "pay"}, "n": 7})), alice},
		{"one text", bearer(tokenWith(object{"token_use": "access", "app": object{"admin": true}, "scp": "pay", "n": 7})), alice},
		{"another value", bearer(tokenWith(object{"token_use": "id", "app": object{"admin": true}, "scp": "pay", "n": 7})), refused},
		{"false", bearer(tokenWith(object{"token_use": "access", "app": object{"admin": false}, "scp": "pay", "n": 7})), refused},
		{"absent", bearer(tokenWith(object{"token_use": "access", "app": object{"admin": true}, "n": 7})), refused},
		{"not in the array", bearer(tokenWith(object{"token_use": "access", "app": object{"admin": true}, "scp": []string{"payments"}, "n": 7})), refused},
		{"an object", bearer(tokenWith(object{"token_use": object{}, "app": object{"admin": true}, "scp": "pay", "n": 7})), refused},
	})
	alone := func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.Audience, c.Required = "", []string{"drn=DS"} }
	runAttempts(t, bearerMode(alone), []attempt{
		{"without aud", bearer(tokenWith(object{"aud": absent{}, "drn": "DS"})), alice},
		{"without aud, another value", bearer(tokenWith(object{"aud": absent{}, "drn": "DSR"})), refused},
		{"with an aud", bearer(tokenWith(object{"drn": "DS"})), refused},
	})
}

// A proxy adds the header to every request of a browser, as a browser adds a cookie.
func TestAnotherHeaderReplacesAuthorization(t *testing.T) {
	const name = "X-Goog-Iap-Jwt-Assertion"
	with := func(values ...string) http.Header { return http.Header{name: values} }
	for what, c := range map[string]struct {
		header http.Header
		want   string
	}{
		"the token":               {with(goodToken()), aliceCookie},
		"the token with a scheme": {with("Bearer " + goodToken()), aliceCookie},
		"twice":                   {with(goodToken(), goodToken()), refused},
		"empty":                   {with(""), refused},
		"another scheme":          {with("Basic " + goodToken()), refused},
		"in Authorization":        {bearer(goodToken()), ignored},
	} {
		runSynctest(t, what, func(t *testing.T) {
			w := newHarness(newIDP(published()...), func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.Header = "x-goog-iap-jwt-assertion" })
			w.run(t)
			session, err := auth.NewChain(prometheus.NewRegistry(), w.bearer).Authenticate(request(t.Context(), c.header), nil)
			if got := verdict(session, err); got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
			if rejection, ok := errors.AsType[*auth.Rejection](err); ok && rejection.Challenge != "" {
				t.Errorf("the challenge %s asks for the Authorization header", rejection.Challenge)
			}
		})
	}
}

func TestKeySetReadsCertificatesByKeyID(t *testing.T) {
	for name, c := range map[string]struct {
		document any
		want     string
	}{
		"the key's certificate":    {object{"rsa": certificate(rsaKey(), midnight)}, alice},
		"among others":             {object{"a": "x", "ec": certificate(ecKey(), midnight), "rsa": certificate(rsaKey(), midnight)}, alice},
		"another key":              {object{"rsa": certificate(otherKey(), midnight)}, refused},
		"another kid":              {object{"rsb": certificate(rsaKey(), midnight)}, refused},
		"expired":                  {object{"rsa": certificate(rsaKey(), midnight.AddDate(-1, 0, 0))}, unavailable},
		"not valid yet":            {object{"rsa": certificate(rsaKey(), midnight.AddDate(1, 0, 0))}, unavailable},
		"not a certificate":        {object{"rsa": strings.ReplaceAll(certificate(rsaKey(), midnight), "CERTIFICATE", "PUBLIC KEY")}, unavailable},
		"not text":                 {object{"rsa": 5}, unavailable},
		"no key":                   {object{}, unavailable},
		"keys that are not a list": {object{"keys": object{}}, unavailable},
	} {
		runSynctest(t, name, func(t *testing.T) {
			w := newHarness(newIDP(), func(_ *auth.BearerConfig, k *auth.KeySetConfig) { k.URL = issuer + jwks })
			w.idp.serve(jwks, document(c.document))
			w.run(t)
			w.want(t, c.want, goodToken())
		})
	}
}

func TestQueryOfKeyAddressIsNotLogged(t *testing.T) {
	for name, page := range map[string]http.HandlerFunc{
		"refused": status(http.StatusForbidden), "no keys": text("{}"), "not JSON": text("<html>"), "too late": late,
	} {
		runSynctest(t, name, func(t *testing.T) {
			w := newHarness(newIDP(), func(_ *auth.BearerConfig, k *auth.KeySetConfig) { k.URL = issuer + jwks + "?appid=the-key" })
			w.idp.serve(jwks, page)
			w.run(t)
			advance(time.Minute)
			if text := w.keys.Fault().Error(); strings.Contains(text, "the-key") || !strings.Contains(text, "/keys") {
				t.Error(text)
			}
		})
	}
}

// late answers after the caller has given up.
func late(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// certificate signs a certificate of a key that is valid for a day around the time.
func certificate(key crypto.Signer, around time.Time) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: around.Add(-12 * time.Hour), NotAfter: around.Add(12 * time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// The reason must say what to change at the provider.
func TestReasonsNameUnusableTokens(t *testing.T) {
	p := parts()
	for token, want := range map[string]string{
		"opaque-access-token": "opaque",
		sign([]byte("secret"), header(object{"alg": "HS256"}), claims(nil)): "shared secret",
		sign(nil, header(object{"alg": "none"}), claims(nil)):               "not signed",
		sign(rsaKey(), header(object{"alg": "RS1"}), claims(nil)):           `alg "RS1" is not accepted`,
		encoded(`{"alg":"RSA-OAEP"}`) + ".a.b.c.d":                          "encrypted",
		p[0] + "." + p[1] + "=." + p[2]:                                     "x-amzn-oidc-accesstoken",
		"a.b.c":                                                             "not JSON",
		goodToken() + "\n":                                                  "malformed",
		strings.Repeat("a", 32<<10+1):                                       "32768",
		tokenWith(object{"iss": "https://other.example.com"}):               "https://other.example.com",
	} {
		runSynctest(t, want, func(t *testing.T) { checkReason(t, token, want) })
	}
}
