package auth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/auth"
)

const pushAt = "/par"

// withPush lets the provider accept pushed requests. Its authorization endpoint knows
// them by their request_uri.
func (w *oidcHarness) withPush(page http.HandlerFunc) *[]url.Values {
	var pushed []url.Values
	w.serveMetadata(object{"pushed_authorization_request_endpoint": issuer + pushAt})
	w.idp.serve(pushAt, func(answer http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if page != nil {
			page(answer, r)
			return
		}
		if r.Method != http.MethodPost || !w.op.proves(r) || r.URL.RawQuery != "" {
			withStatusAnd(http.StatusUnauthorized, `{"error":"invalid_client"}`)(answer, r)
			return
		}
		pushed = append(pushed, r.PostForm)
		withStatusAnd(http.StatusCreated, `{"request_uri":"urn:example:request","expires_in":60}`)(answer, r)
	})
	return &pushed
}

func TestParametersArePushedWhereOffered(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		pushed := w.withPush(nil)
		b := w.browser(t)
		at := b.begin("/page")
		if got, want := at.RawQuery, (url.Values{"client_id": {clientID}, "request_uri": {"urn:example:request"}}).Encode(); got != want {
			t.Errorf("the browser carries %s, want %s", got, want)
		}
		if len(*pushed) != 1 {
			t.Fatalf("%d requests", len(*pushed))
		}
		sent := (*pushed)[0]
		for name, want := range map[string]string{"response_type": "code", "redirect_uri": origin + "/dropgate/auth/callback", "scope": "openid email", "code_challenge_method": "S256", "prompt": "login"} {
			if got := sent.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		login, err := b.callback(w.op.authorize(&url.URL{RawQuery: sent.Encode()}))
		if err != nil || login.User != "alice" || login.URL != origin+"/page" {
			t.Errorf("%+v (%v)", login, err)
		}
	}, func(c *auth.OIDCConfig) { c.Parameters = url.Values{"prompt": {"login"}} })
}

func TestPushIsOffWhereConfigured(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		pushed := w.withPush(nil)
		if at := w.browser(t).begin(""); at.Query().Get("code_challenge") == "" || len(*pushed) != 0 {
			t.Errorf("%s after %d pushes", at, len(*pushed))
		}
	}, func(c *auth.OIDCConfig) { c.NoPush = true })
}

func TestRefusedPushIsNotOutage(t *testing.T) {
	for name, c := range map[string]struct {
		page http.HandlerFunc
		code string // empty: an outage
	}{
		"500": {status(500), ""}, "429": {status(429), ""},
		"401": {status(401), "exchange_refused"}, "invalid_client": {withStatusAnd(400, `{"error":"invalid_client"}`), "exchange_refused"},
		"400": {withStatusAnd(400, `{"error":"invalid_request"}`), "provider_refused"}, "404": {status(404), "provider_refused"},
		"no uri": {withStatusAnd(201, `{}`), "provider_refused"}, "HTML": {withStatusAnd(201, `<html>`), "provider_refused"},
		"302": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example", http.StatusFound)
		}, "provider_refused"},
		"an endless uri": {withStatusAnd(201, `{"request_uri":"`+strings.Repeat("u", 2000)+`"}`), "provider_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.withPush(c.page)
				b := w.browser(t)
				login, err := w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login?return_to=/page", false))
				if c.code == "" {
					checkFailure(t, err)
				} else {
					checkProtocol(t, err, c.code)
				}
				b.checkNoSecret(err)
				if login.URL != "" || login.ReturnTo != "/page" || len(login.Cookies) > 0 {
					t.Errorf("%+v", login)
				}
			})
		})
	}
}

func TestOnlyListedParametersReachTheProvider(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		begin := func(query string) (url.Values, error) {
			login, err := w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login?"+query, false))
			return must(url.Parse(login.URL)).Query(), err
		}
		sent, err := begin("login_hint=ann%40example.com&prompt=none&state=mine&acr_values=low&ui_locales=")
		if err != nil || sent.Get("login_hint") != "ann@example.com" || sent.Get("prompt") != "login" || sent.Get("state") == "mine" || sent.Has("acr_values") || sent.Has("ui_locales") {
			t.Errorf("%v (%v)", sent, err)
		}
		for _, bad := range []string{"login_hint=a&login_hint=b", "login_hint=" + strings.Repeat("a", 256), "login_hint=a%0ab", "login_hint=a%00b"} {
			if _, err := begin(bad); err == nil {
				t.Errorf("%.40s is accepted", bad)
			} else {
				checkProtocol(t, err, "return_to")
			}
		}
	}, func(c *auth.OIDCConfig) {
		c.Parameters, c.PassParameters = url.Values{"prompt": {"login"}}, []string{"login_hint", "prompt", "ui_locales"}
	})
}

func TestParametersOfTheProtocolAreReserved(t *testing.T) {
	for _, text := range []string{"state=x", "Client_ID=x", "scope=openid", "a=1&a=2", "a;b", "%zz", "=x", "response_mode=query", "request=x"} {
		if values, err := auth.ParseParameters(text); err == nil {
			t.Errorf("%s: %v", text, values)
		}
	}
	if values, err := auth.ParseParameters("audience=https%3A%2F%2Fapi&prompt=login+consent"); err != nil || values.Get("audience") != "https://api" || values.Get("prompt") != "login consent" {
		t.Errorf("%v (%v)", values, err)
	}
}

func TestDiscoveryMayUseAnInternalAddress(t *testing.T) {
	const internal = "http://id.internal:8080"
	good := object{"issuer": issuer, "jwks_uri": internal + jwks, "token_endpoint": internal + tokenAt, "userinfo_endpoint": internal + userinfoAt, "authorization_endpoint": issuer + authorizeAt}
	for name, c := range map[string]struct {
		edits  object
		works  bool
		logout bool
	}{
		"an internal back channel": {object{}, true, false},
		"and a public sign-out":    {object{"end_session_endpoint": issuer + endSessionAt}, true, true},
		"an internal sign-out":     {object{"end_session_endpoint": internal + endSessionAt}, true, false},
		"an internal sign-in page": {object{"authorization_endpoint": internal + authorizeAt}, false, false},
		"a plain sign-in page":     {object{"authorization_endpoint": "http://id.example.com" + authorizeAt}, false, false},
		"another issuer":           {object{"issuer": internal}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.idp.serve("/internal/metadata", document(merged(good, c.edits)))
				w.idp.serve(discovery, status(http.StatusNotFound))
				w.keys = auth.NewKeySet(auth.KeySetConfig{Issuer: issuer, Discovery: internal + "/internal/metadata", Transport: w.idp, Registerer: newRegistry()})
				w.oidc = w.replica(newRegistry())
				b := w.browser(t)
				login, err := w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login", false))
				if !c.works {
					checkFailure(t, err)
					return
				}
				if err != nil || !strings.HasPrefix(login.URL, issuer+authorizeAt+"?") {
					t.Fatalf("%s (%v)", login.URL, err)
				}
				b.signIn()
				logout, err := w.oidc.Logout(b.request(http.MethodPost, "/dropgate/auth/logout", false))
				if err != nil || (logout.EndSessionURL != "") != c.logout {
					t.Errorf("%+v (%v)", logout, err)
				}
			})
		})
	}
}
