package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// oidcRow is a sign-in at one provider.
type oidcRow struct {
	name      string
	settings  string // as in the documentation: lines of NAME=VALUE
	document  object // of discovery
	algorithm string // of the ID token
	claims    object // of the ID token
	userinfo  object // besides sub
	user      string // whom the sign-in finds; empty if it fails
	customer  bool   // it finds a Customer
	reason    string // for the failure, in the log
}

// keyFile stands in the documentation's place for a file with the service's key.
const keyFile = "/run/secrets/oidc-client-key.pem"

// startOIDC starts the service with the settings of a row, and its provider.
func startOIDC(t *testing.T, row oidcRow, shape ...func(o *op)) oidcWorld {
	t.Helper()
	given := settingsOf(row.settings)
	provider := newOP(row.document, row.algorithm)
	provider.client, provider.claims, provider.userinfo = given["AUTH_OIDC_CLIENT_ID"], row.claims, row.userinfo
	settings := oidcSettings() + strings.ReplaceAll(row.settings, keyFile, clientKeyFile(t)) + "\n"
	if given["AUTH_OIDC_CLIENT_AUTH"] == "none" {
		provider.secret = ""
	} else if given["AUTH_OIDC_CLIENT_KEYS_FILE"] == "" {
		settings += "AUTH_OIDC_CLIENT_SECRET=" + opSecret + "\n"
	}
	at := given["AUTH_OIDC_DISCOVERY_URL"]
	if at == "" {
		at = strings.TrimSuffix(given["AUTH_OIDC_ISSUER"], "/") + discovery
	}
	for _, edit := range shape {
		edit(provider)
	}
	world := newInternet(t)
	provider.serve(world, at)
	provider.explain(t)
	return oidcWorld{provider, start(t, world, settings), world}
}

// oidcWorld is a provider, the service and the way between them.
type oidcWorld struct {
	*op

	service *service
	world   *internet
}

// signIn signs in with a new browser.
func (w oidcWorld) signIn(t *testing.T) (*browser, pageOf) {
	t.Helper()
	b := newBrowser(t, w.service, w.world)
	return b, b.signIn(nil)
}

func TestSignInAtEachProvider(t *testing.T) {
	t.Parallel()
	for _, row := range oidcRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := startOIDC(t, row)
			b, page := w.signIn(t)
			user, href := b.user()
			if user != row.user || strings.HasSuffix(href, customer) != row.customer {
				t.Fatalf("user %q with Customer %q, want %q; on the page %s: %s\n%s", user, href, row.user, page.url, page.text, w.service.logs)
			}
			if row.user == "" {
				w.service.logs.waitFor(t, row.reason)
				return
			}
			w.forgedIsRefused(t)
			_, page = w.signIn(t)
			if page.url.Path != "/" {
				t.Errorf("after the forged tokens, a good one leads to %s", page.url)
			}
		})
	}
}

// forgedIsRefused changes what makes the ID token good.
func (w oidcWorld) forgedIsRefused(t *testing.T) {
	t.Helper()
	good := w.claims
	for code, forgeries := range map[string][]object{
		"nonce_mismatch":   {{"nonce": "another"}},
		"id_token_invalid": {{"aud": "another-client"}, {"iss": "https://attacker.example"}},
	} {
		for _, forgery := range forgeries {
			edited := maps.Clone(good)
			maps.Copy(edited, forgery)
			w.change(func(o *op) { o.claims = edited })
			w.refused(t, fmt.Sprint(forgery), code)
		}
	}
	w.change(func(o *op) {
		sign := o.sign
		o.claims = good
		o.sign = func(claims object) string {
			o.sign = sign
			return otherSignature(sign(claims))
		}
	})
	w.refused(t, "another signature", "id_token_invalid")
}

// refused signs in, and checks that the sign-in fails with this code.
func (w oidcWorld) refused(t *testing.T, what, code string) {
	t.Helper()
	b, page := w.signIn(t)
	if user, _ := b.user(); user != "" || page.status == http.StatusOK || !strings.Contains(page.text, code) {
		t.Errorf("%s: user %q, on the page %s: %d %s, want %s", what, user, page.url, page.status, page.text, code)
	}
}

// otherSignature replaces the signature of a token by that of another key.
func otherSignature(token string) string {
	at := strings.LastIndexByte(token, '.')
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	other := signed{algorithm: "ES256", key: stranger}.text(object{})
	return token[:at] + other[strings.LastIndexByte(other, '.'):]
}

// described is a discovery document, as lines of member=value. A value that begins with
// a slash is under the issuer. A member that ends in _supported has a list.
func described(issuer, lines string) object {
	document := object{"issuer": issuer}
	base := strings.TrimSuffix(issuer, "/")
	for line := range strings.Lines(lines) {
		member, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case !ok:
		case value == "true":
			document[member] = true
		case strings.HasSuffix(member, "_supported"):
			document[member] = strings.Split(value, ",")
		case strings.HasPrefix(value, "/"):
			document[member] = base + value
		default:
			document[member] = must(url.Parse(value)).String()
		}
	}
	return document
}
