package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

func TestBeginRequestsCodeWithPKCE(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		at := w.browser(t).begin("/page")
		query := at.Query()
		if at.Scheme+"://"+at.Host+at.Path != issuer+authorizeAt {
			t.Errorf("the browser is sent to %s", at)
		}
		for _, fresh := range []string{"state", "nonce", "code_challenge"} {
			if len(query.Get(fresh)) < 26 { // 130 bits in base32
				t.Errorf("%s is %q", fresh, query.Get(fresh))
			}
			query.Del(fresh)
		}
		want := url.Values{
			"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {origin + "/dropgate/auth/callback"},
			"scope": {"openid email"}, "code_challenge_method": {"S256"},
		}
		if diff := cmp.Diff(want, query); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBeginKeepsAuthorizationEndpointQuery(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.serveMetadata(object{"authorization_endpoint": issuer + authorizeAt + "?tenant=a"})
		if query := w.browser(t).begin("").Query(); query.Get("tenant") != "a" || query.Get("response_type") != "code" {
			t.Errorf("query %v", query)
		}
	})
}

func TestBeginUsesFreshStateNonceAndChallenge(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		seen := map[string]bool{}
		for range 100 {
			query := w.browser(t).begin("").Query()
			for _, name := range []string{"state", "nonce", "code_challenge"} {
				if seen[query.Get(name)] {
					t.Fatalf("%s %q again", name, query.Get(name))
				}
				seen[query.Get(name)] = true
			}
		}
	})
}

func TestLoginCookieIsHostBoundAndShortLived(t *testing.T) {
	checkLoginCookie(t, origin, "__Host-dropgate-login-", true)
}

func TestLoginCookieOnPlainLocalhostLacksPrefix(t *testing.T) {
	checkLoginCookie(t, "http://127.0.0.1:8080", "dropgate-login-", false)
}

func checkLoginCookie(t *testing.T, origin, prefix string, secure bool) {
	t.Helper()
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.origin = origin
		if to := b.begin("/").Query().Get("redirect_uri"); to != origin+"/dropgate/auth/callback" {
			t.Errorf("redirect_uri %s", to)
		}
		names := b.logins()
		if len(names) != 1 || !strings.HasPrefix(names[0], prefix) {
			t.Fatalf("cookies %q", names)
		}
		got := b.cookies[names[0]]
		want := &http.Cookie{
			Name: got.Name, Value: got.Value, Path: "/", MaxAge: 3600, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}, func(o *auth.OIDCConfig) { o.Origin = origin })
}

// A stolen disk must not reveal the sign-in's secrets.
func TestLoginCookieRevealsNothing(t *testing.T) {
	values := map[string]bool{}
	for range 20 {
		withOIDC(t, func(t *testing.T, w *oidcHarness) {
			b := w.browser(t)
			query := b.begin("/a-page-of-the-application").Query()
			cookie := b.cookies[b.logins()[0]]
			raw := must(base64.RawURLEncoding.DecodeString(cookie.Value))
			shown := strings.ToLower(cookie.Name + cookie.Value + " " + string(raw))
			for _, told := range []string{query.Get("state"), query.Get("nonce"), query.Get("code_challenge"), "a-page", "verifier", "nonce"} {
				if strings.Contains(shown, strings.ToLower(told)) {
					t.Errorf("the cookie holds %q", told)
				}
			}
			if json.Valid(raw) || values[cookie.Value[:24]] {
				t.Error("the cookie is JSON, or begins like another one")
			}
			values[cookie.Value[:24]] = true
		})
	}
}

func TestForeignReturnToFallsBackToTheStartPage(t *testing.T) {
	for name, query := range map[string]string{
		"foreign":             "return_to=https%3A%2F%2Fevil.example.com%2F",
		"without a scheme":    "return_to=%2F%2Fevil.example.com%2F",
		"a backslash":         "return_to=%2F%5Cevil.example.com",
		"javascript":          "return_to=javascript%3Aalert(1)",
		"an origin that fits": "return_to=https%3A%2F%2Fshop.example.com.evil.com%2F",
		"twice":               "return_to=%2Fa&return_to=%2Fb",
		"twice the same":      "return_to=%2Fa&return_to=%2Fa",
		"empty and foreign":   "return_to=&return_to=https%3A%2F%2Fevil.example.com%2F",
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				b := w.browser(t)
				login, err := w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login?"+query, false))
				if err != nil || login.ReturnTo != "" || !strings.HasPrefix(login.Ignored, "return_to ") {
					t.Fatalf("%+v (%v)", login, err)
				}
				b.keep(login.Cookies)
				login, err = b.callback(w.op.authorize(must(url.Parse(login.URL))))
				if err != nil || login.URL != origin+"/" {
					t.Errorf("sent to %s (%v)", login.URL, err)
				}
			})
		})
	}
}

func TestClientUsesProvidersAuthenticationMethod(t *testing.T) {
	for name, c := range map[string]struct {
		methods any
		header  bool
	}{
		"says nothing": {absent{}, true},
		"none":         {[]string{}, true},
		"basic":        {[]string{"client_secret_basic"}, true},
		"both":         {[]string{"client_secret_post", "client_secret_basic"}, true},
		"post":         {[]string{"client_secret_post"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.serveMetadata(object{"token_endpoint_auth_methods_supported": c.methods})
				b := w.browser(t)
				query := w.op.authorize(b.begin(""))
				var asked []bool
				w.idp.serve(tokenAt, func(rw http.ResponseWriter, r *http.Request) {
					_ = r.ParseForm()
					_, _, basic := r.BasicAuth()
					asked = append(asked, basic)
					if !basic && (r.PostForm.Get("client_id") != clientID || r.PostForm.Get("client_secret") != clientSecret) {
						t.Errorf("form %v", r.PostForm)
					}
					status(http.StatusBadRequest)(rw, r)
				})
				_, err := b.callback(query)
				checkProtocol(t, err, "exchange_refused")
				if !slices.Equal(asked, []bool{c.header}) {
					t.Errorf("Basic: %v, want once %v", asked, c.header)
				}
			})
		})
	}
}

func TestNewOIDCPanicsWithoutRequiredSettings(t *testing.T) {
	for name, empty := range map[string]func(*auth.OIDCConfig){
		"issuer":     func(c *auth.OIDCConfig) { c.Issuer = "" },
		"client":     func(c *auth.OIDCConfig) { c.ClientID = "" },
		"secret":     func(c *auth.OIDCConfig) { c.ClientSecret = clienttoken.Secret{} },
		"user claim": func(c *auth.OIDCConfig) { c.UserClaim = "" },
		"origin":     func(c *auth.OIDCConfig) { c.Origin = "" },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			newOIDCHarness(empty)
		})
	}
}
