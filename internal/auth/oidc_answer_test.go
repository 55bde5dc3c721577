package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/auth"
)

const redirectURI = origin + "/dropgate/auth/callback"

// errorBody is an error of the provider's.
func errorBody(code, description string) string {
	return string(must(json.Marshal(map[string]string{"error": code, "error_description": description})))
}

func TestReasonNamesTheSettingAtFault(t *testing.T) {
	for _, c := range []struct {
		status                  int
		code, description, want string
	}{
		{401, "invalid_client", "Invalid client secret provided.", "check AUTH_OIDC_CLIENT_SECRET"},
		{400, "unauthorized_client", "Invalid client or Invalid client credentials", "check AUTH_OIDC_CLIENT_SECRET"},
		{401, "invalid_client", "AADSTS7000215: bad secret", "AADSTS7000215"},
		{401, "invalid_client", "client_secret_post is not the registered auth method", "check AUTH_OIDC_CLIENT_AUTH:"},
		{401, "invalid_client", "The client_assertion signature does not verify", "check AUTH_OIDC_CLIENT_KEYS"},
		{401, "invalid_client", "Client not found", "check AUTH_OIDC_CLIENT_ID:"},
		{401, "invalid_client", "", "check AUTH_OIDC_CLIENT_ID, the client's secret or key"},
		{401, "", "", "check AUTH_OIDC_CLIENT_ID, the client's secret or key"},
		{400, "unauthorized_client", "", "authorization code flow"},
		{400, "invalid_request", "redirect_uri does not match", "register the redirect URI " + redirectURI},
		{400, "redirect_uri_mismatch", "", "register the redirect URI " + redirectURI},
		{400, "invalid_grant", "Incorrect redirect_uri=" + redirectURI, "redirect_uri=" + redirectURI},
		{400, "invalid_request", "PKCE verification failed", "PKCE with S256"},
		{400, "invalid_scope", "scope email", "check AUTH_OIDC_SCOPES"},
		{400, "unsupported_grant_type", "", "grant_type authorization_code"},
	} {
		t.Run(c.code+" "+c.description, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.idp.serve(tokenAt, withStatusAnd(c.status, errorBody(c.code, c.description)))
				b := w.browser(t)
				code := "exchange_refused"
				if c.code == "invalid_grant" {
					code = "code_refused"
				}
				_, err := b.callback(w.op.authorize(b.begin("")))
				if reason := reasonOf(t, err, code); !strings.Contains(reason, c.want) || !strings.Contains(reason, c.code) {
					t.Errorf("%s, want %s", reason, c.want)
				}
				w.withPush(withStatusAnd(c.status, errorBody(c.code, c.description)))
				w.restart()
				_, err = w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login", false))
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("pushed: %v, want %s", err, c.want)
				}
			})
		})
	}
}

// Providers repeat what they got, and a description may be a page of text.
func TestProviderAnswerIsCutQuotedAndWithoutSecrets(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		token := idTokenOf(nil)
		for _, secret := range []string{
			clientSecret, url.QueryEscape(clientSecret), base64.StdEncoding.EncodeToString([]byte(clientSecret)),
			base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID) + ":" + url.QueryEscape(clientSecret))),
			accessToken, token, "sk_live_0123456789abcdef", "3f2c1d9a-7b1e-4f55-9c3d-0a1b2c3d4e5f", "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
			strings.Repeat("a", 40), "code=0123456789abcdef0123", "https://evil.example.com/?x=0123456789",
		} {
			said := "You sent " + secret + " and \u202e\r\nmore\x00."
			w.op.addSecrets(secret)
			b := w.browser(t)
			for _, status := range []int{400, 401, 500} {
				w.idp.serve(tokenAt, withStatusAnd(status, errorBody("invalid_request", said)))
				_, err := b.callback(w.op.authorize(b.begin("")))
				b.checkNoSecret(err)
				checkOneLine(t, err, "[removed]")
			}
			query := w.op.authorize(b.begin(""))
			query.Set("error", "invalid_request")
			query.Set("error_description", said+" "+query.Get("code")+" "+strings.Repeat("word ", 5000)+secret)
			_, err := b.callback(query)
			b.checkNoSecret(err)
			checkOneLine(t, err, `…"`)
		}
	})
}

// checkOneLine fails t unless an error is a short line of plain text that holds part.
func checkOneLine(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) || len(err.Error()) > 800 || strings.ContainsAny(err.Error(), "\r\n\x00\u202e") {
		t.Errorf("%v", err)
	}
}

func TestCodeCanNeverBeInTheReason(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		query.Set("code", "short-code")
		query.Set("error", "short-code")
		query.Set("error_description", "the code short-code is "+query.Get("state"))
		_, err := b.callback(query)
		if reason := reasonOf(t, err, "provider_refused"); strings.Contains(reason, "short-code") || strings.Contains(reason, query.Get("state")) {
			t.Error(reason)
		}
	})
}

// The provider has a fault of its own, and the next sign-in may succeed.
func TestProviderFaultInAnswerIsOutage(t *testing.T) {
	for _, code := range []string{"server_error", "temporarily_unavailable"} {
		withOIDC(t, func(t *testing.T, w *oidcHarness) {
			b := w.browser(t)
			query := w.op.authorize(b.begin("/page"))
			query.Set("error", code)
			query.Set("error_description", "The database sleeps.")
			login, err := b.callback(query)
			checkFailure(t, err)
			if err == nil || !strings.Contains(err.Error(), code) || !strings.Contains(err.Error(), "database sleeps") {
				t.Error(err)
			}
			if login.ReturnTo != "/page" || len(b.logins()) != 0 || w.op.grants[query.Get("code")].used {
				t.Errorf("return to %q, cookies %q, or the code was used", login.ReturnTo, b.logins())
			}
			b.signIn()
		})
	}
}

func TestUserinfoErrorIsInTheReason(t *testing.T) {
	for name, page := range map[string]http.HandlerFunc{
		"in the header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="x", error="insufficient_scope", error_description="needs \"email\", not `+accessToken+`"`)
			w.WriteHeader(http.StatusForbidden)
		},
		"in the body": withStatusAnd(http.StatusForbidden, errorBody("insufficient_scope", `needs "email", not `+accessToken)),
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.withUserinfo(page)
				b := w.browser(t)
				_, err := b.callback(w.op.authorize(b.begin("")))
				b.checkNoSecret(err)
				if reason := reasonOf(t, err, "exchange_failed"); !strings.Contains(reason, `403: error "insufficient_scope", error_description "needs \"email\", not [removed]`) {
					t.Error(reason)
				}
			}, wantEmail)
		})
	}
}

func TestReasonHasWantedAndGivenParty(t *testing.T) {
	for name, c := range map[string]struct {
		claims object
		want   string
	}{
		"issuer":   {object{"iss": "https://other.example.com"}, `iss is "https://other.example.com", expected AUTH_OIDC_ISSUER "` + issuer + `"`},
		"audience": {object{"aud": []string{"a", "b"}}, `aud is ["a", "b"], expected AUTH_OIDC_CLIENT_ID "` + clientID + `"`},
		"party":    {object{"azp": "other"}, `azp is "other", expected AUTH_OIDC_CLIENT_ID "` + clientID + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.op.answers(c.claims)
				b := w.browser(t)
				_, err := b.callback(w.op.authorize(b.begin("")))
				if reason := reasonOf(t, err, "id_token_invalid"); !strings.Contains(reason, c.want) {
					t.Errorf("%s, want %s", reason, c.want)
				}
			})
		})
	}
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		_, err := b.callback(with("iss", "https://other.example.com")(b, w.op.authorize(b.begin(""))))
		if reason := reasonOf(t, err, "issuer_mismatch"); !strings.Contains(reason, `"https://other.example.com", expected "`+issuer) {
			t.Error(reason)
		}
	})
}

// A short public text must not split a token into harmless pieces.
func TestShortClientIDHidesNoToken(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(tokenAt, withStatusAnd(400, errorBody("invalid_request", "bad 0a1a2a3a4a5a6a7a8a9a0a1a2a3a4a")))
		b := w.browser(t)
		_, err := b.callback(w.op.authorize(b.begin("")))
		if reason := reasonOf(t, err, "exchange_refused"); !strings.Contains(reason, `"bad [removed]"`) {
			t.Error(reason)
		}
	}, func(c *auth.OIDCConfig) { c.ClientID = "a" })
}
