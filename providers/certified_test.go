package providers_test

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// certified is oidc-provider in a process of its own. OpenID has certified it, and it
// shares no code with this repository.
type certified struct {
	issuer  string
	logouts atomic.Pointer[httputil.ReverseProxy] // takes its logout tokens
	logs    *logs
}

// newCertified starts the program with one client and further options.
func newCertified(t *testing.T, client, options object) *certified {
	t.Helper()
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("oidc-provider/node_modules/oidc-provider/package.json")
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%v: make install-providers installs it", err)
	}
	if err != nil {
		t.Skipf("%v: make install-providers installs it", err)
	}
	c := &certified{logs: &logs{}}
	logouts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.logouts.Load().ServeHTTP(w, r) }))
	t.Cleanup(logouts.Close)
	program := exec.CommandContext(t.Context(), node, "oidc-provider/server.mjs")
	program.Stderr = c.logs
	input, output := must(program.StdinPipe()), bufio.NewScanner(must(program.StdoutPipe()))
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = program.Wait()
		if t.Failed() {
			t.Log(c.logs)
		}
	})
	if err := json.NewEncoder(input).Encode(certifiedSettings(logouts.URL, client, options)); err != nil {
		t.Fatal(err)
	}
	if !output.Scan() {
		t.Fatalf("oidc-provider has ended: %v\n%s", output.Err(), c.logs)
	}
	c.issuer = output.Text()
	return c
}

// certifiedSettings is what the program reads.
func certifiedSettings(logouts string, client, options object) object {
	registered := object{
		"client_id": certifiedClient, "redirect_uris": []string{appOrigin + "/auth/callback"}, "post_logout_redirect_uris": []string{appOrigin + "/"},
		"backchannel_logout_uri": logouts + "/auth/backchannel-logout",
	}
	maps.Copy(registered, client)
	features := object{"backchannelLogout": object{"enabled": true}, "devInteractions": object{"enabled": false}}
	all := object{
		"clients": []object{registered}, "jwks": privateKeys(), "cookies": object{"keys": []string{"a key of the tests"}},
		"claims":     object{"openid": []string{"sub"}, "email": []string{"email", "email_verified"}, "profile": []string{"name", "dwolla_customer"}},
		"enabledJWA": object{"idTokenSigningAlgValues": []string{"RS256", "PS256", "ES256", "EdDSA"}},
		"features":   features, "responseTypes": []string{"code"},
	}
	maps.Copy(all, options)
	if more, ok := options["features"].(object); ok {
		maps.Copy(features, more)
		all["features"] = features
	}
	accounts := object{"u-7": object{"email": certifiedUser, "email_verified": true, "name": "Ann", "dwolla_customer": customer}}
	return object{"accounts": accounts, "options": all}
}

const (
	certifiedClient = "dropgate"
	certifiedSecret = "a secret of the tests: with % and +"
	certifiedUser   = "ann@example.com"
)

// privateKeys are the provider's keys, one for each kind.
func privateKeys() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: rsaKey(), KeyID: "rsa", Use: "sig"}, {Key: ecKey(), KeyID: "ec", Use: "sig"}, {Key: edKey(), KeyID: "ed", Use: "sig"},
	}}
}

// clientKey is the service's own key.
var clientKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

// registeredKey is a key as the provider gets it. Its name is its thumbprint.
func registeredKey(key *ecdsa.PrivateKey) jose.JSONWebKeySet {
	public := jose.JSONWebKey{Key: key.Public(), Use: "sig", Algorithm: "ES256"}
	public.KeyID = base64.RawURLEncoding.EncodeToString(must(public.Thumbprint(crypto.SHA256)))
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}
}

// clientCertificate certifies this key.
var clientCertificate = sync.OnceValue(func() []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	return must(x509.CreateCertificate(rand.Reader, template, template, clientKey().Public(), clientKey()))
})

// clientKeyFile is a file with this key and its certificate, for private_key_jwt.
func clientKeyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.pem")
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(clientKey()))})
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: clientCertificate()})
	if err := os.WriteFile(file, append(key, certificate...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// realRows are the providers whose own software runs in these tests.
func realRows() []oidcRow {
	return []oidcRow{{
		name: "`oidc-provider` 9 of npm, claims from userinfo only",
		settings: `
			AUTH_OIDC_ISSUER=https://id.example.com
			AUTH_OIDC_CLIENT_ID=dropgate
			AUTH_USER_CLAIM=email`,
	}}
}

// certifiedRow is one way to sign in.
type certifiedRow struct {
	settings string
	client   object // its registration at the provider
	options  object // of the provider
}

func certifiedRows(t *testing.T) map[string]certifiedRow {
	t.Helper()
	secret := "AUTH_OIDC_CLIENT_SECRET=" + certifiedSecret + "\n"
	key := "AUTH_OIDC_CLIENT_KEYS_FILE=" + clientKeyFile(t) + "\n"
	keys := registeredKey(clientKey())
	pushed := object{"features": object{"pushedAuthorizationRequests": object{"enabled": true, "requirePushedAuthorizationRequests": true}}}
	return map[string]certifiedRow{
		"client_secret_basic and RS256": {secret, object{"client_secret": certifiedSecret}, nil},
		"client_secret_post and PS256": {
			secret + "AUTH_OIDC_CLIENT_AUTH=client_secret_post",
			object{"client_secret": certifiedSecret, "token_endpoint_auth_method": "client_secret_post", "id_token_signed_response_alg": "PS256"},
			nil,
		},
		"private_key_jwt and ES256": {
			key, object{"token_endpoint_auth_method": "private_key_jwt", "jwks": keys, "id_token_signed_response_alg": "ES256"}, nil,
		},
		"private_key_jwt with pushed requests demanded": {
			key, object{"token_endpoint_auth_method": "private_key_jwt", "jwks": keys}, pushed,
		},
		"public client and EdDSA": {
			"AUTH_OIDC_CLIENT_AUTH=none", object{"token_endpoint_auth_method": "none", "id_token_signed_response_alg": "EdDSA"}, nil,
		},
		"public client with pushed requests demanded": {
			"AUTH_OIDC_CLIENT_AUTH=none", object{"token_endpoint_auth_method": "none"}, pushed,
		},
		"no pushed requests":     {secret + "AUTH_OIDC_PAR=off", object{"client_secret": certifiedSecret}, nil},
		"claims in the ID token": {secret, object{"client_secret": certifiedSecret}, object{"conformIdTokenClaims": false}},
	}
}

// certifiedSignIn is the provider and the service of a row, and a browser.
type certifiedSignIn struct {
	*certified

	service *service
	browser *browser
}

func newCertifiedSignIn(t *testing.T, row certifiedRow) certifiedSignIn {
	t.Helper()
	c := newCertified(t, row.client, row.options)
	world := newInternet(t)
	s := start(t, world, oidcSettings()+strings.Replace(realRows()[0].settings, "https://id.example.com", c.issuer, 1)+"\n"+row.settings)
	c.logouts.Store(httputil.NewSingleHostReverseProxy(must(url.Parse("http://" + s.PublicAddr()))))
	return certifiedSignIn{c, s, newBrowser(t, s, world)}
}

// hint is the user at the provider.
func hint() url.Values { return url.Values{"login_hint": {"u-7"}} }

// By default oidc-provider returns only sub in the ID token, so the user's id comes from
// the userinfo endpoint.
func TestCertifiedProviderSignsUsersIn(t *testing.T) {
	t.Parallel()
	for name, row := range certifiedRows(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCertifiedSignIn(t, row)
			s, b := c.service, c.browser
			page := b.signIn(hint())
			if user, href := b.user(); user != certifiedUser || !strings.HasSuffix(href, customer) {
				t.Fatalf("user %q with Customer %q, on the page %s\n%s\n%s", user, href, page.url, page.text, s.logs)
			}
			header, claims := readToken(t, b.signOut().Query().Get("id_token_hint"))
			want, _ := row.client["id_token_signed_response_alg"].(string)
			if want == "" {
				want = "RS256"
			}
			if header["alg"] != want || claims["iss"] != c.issuer {
				t.Errorf("the ID token has %v and %v, want %s", header, claims, want)
			}
			if _, inToken := claims["email"]; inToken != (row.options["conformIdTokenClaims"] == false) {
				t.Errorf("the ID token has %v", claims)
			}
		})
	}
}

// readToken returns the header and the claims of a token.
func readToken(t *testing.T, raw string) (header, claims object) {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a token", raw)
	}
	for i, into := range []*object{&header, &claims} {
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[i])), into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestCertifiedProviderRefusesAnotherSecretOrKey(t *testing.T) {
	t.Parallel()
	rows := certifiedRows(t)
	for name, client := range map[string]object{
		"client_secret_basic and RS256":                 {"client_secret": "another secret of the tests"},
		"private_key_jwt and ES256":                     {"jwks": registeredKey(ecKey())},
		"private_key_jwt with pushed requests demanded": {"jwks": registeredKey(ecKey())},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := rows[name]
			row.client = maps.Clone(row.client)
			maps.Copy(row.client, client)
			c := newCertifiedSignIn(t, row)
			s, b := c.service, c.browser
			page := b.signIn(hint())
			if user, _ := b.user(); user != "" || page.status == http.StatusOK {
				t.Fatalf("user %q, on the page %s: %d", user, page.url, page.status)
			}
			s.logs.waitFor(t, "exchange_refused")
		})
	}
}

func TestSignOutEndsTheCertifiedProvidersSession(t *testing.T) {
	t.Parallel()
	c := newCertifiedSignIn(t, certifiedRows(t)["client_secret_basic and RS256"])
	s, b := c.service, c.browser
	b.signIn(hint())
	silent := url.Values{"login_hint": {"u-7"}, "prompt": {"none"}}
	if page := b.signIn(silent); page.url.Path != "/" {
		t.Fatalf("without a question, the provider leads to %s: %s\n%s", page.url, page.text, s.logs)
	}
	confirm := b.open(b.signOut().String())
	if user, _ := b.user(); user != "" {
		t.Fatalf("%s is still signed in", user)
	}
	if page := b.submit(confirm, "/session/end/confirm", url.Values{"logout": {"yes"}}); page.url.String() != appOrigin+"/" {
		t.Fatalf("after the sign-out, the provider leads to %s: %s", page.url, page.text)
	}
	page := b.signIn(silent)
	if user, _ := b.user(); user != "" || page.url.Path != "/auth/callback" || page.url.Query().Get("error") != "login_required" {
		t.Fatalf("user %q, on the page %s, want login_required", user, page.url)
	}
}

// The user signs out at the provider, not at the service.
func TestCertifiedProviderEndsTheServicesSessions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client object
		others bool // sessions of the same user in other browsers end, too
	}{
		"by sub":           {object{}, true},
		"by sid":           {object{"backchannel_logout_session_required": true}, false},
		"by sub and ES256": {object{"id_token_signed_response_alg": "ES256"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := certifiedRows(t)["client_secret_basic and RS256"]
			row.client = maps.Clone(row.client)
			maps.Copy(row.client, c.client)
			provider := newCertifiedSignIn(t, row)
			s, b := provider.service, provider.browser
			other := newBrowser(t, s, newInternet(t))
			for _, b := range []*browser{b, other} {
				b.signIn(hint())
				if user, _ := b.user(); user != certifiedUser {
					t.Fatalf("user %q\n%s", user, s.logs)
				}
			}
			confirm := b.open(provider.issuer + "/session/end")
			b.submit(confirm, "/session/end/confirm", url.Values{"logout": {"yes"}})
			if user, _ := b.user(); user != "" {
				t.Errorf("%s is still signed in\n%s%s", user, s.logs, provider.logs)
			}
			if user, _ := other.user(); (user == "") != c.others {
				t.Errorf("in the other browser: %q", user)
			}
		})
	}
}
