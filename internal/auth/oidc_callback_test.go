package auth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
)

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

func secret(value string) clienttoken.Secret { return clienttoken.NewSecret(value) }

// The query or the cookies may be hostile.
func TestCallbackMustMatchItsSignIn(t *testing.T) {
	for _, c := range []struct {
		name, code string
		edit       func(b *browser, query url.Values) url.Values
	}{
		{"no state", "callback_malformed", without("state")},
		{"empty state", "callback_malformed", with("state", "")},
		{"state twice", "callback_malformed", func(_ *browser, q url.Values) url.Values { q.Add("state", q.Get("state")); return q }},
		{"two states", "callback_malformed", func(_ *browser, q url.Values) url.Values { q.Add("state", "other"); return q }},
		{"foreign state", "state_unknown", with("state", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")},
		{"tampered state", "state_unknown", func(_ *browser, q url.Values) url.Values { q.Set("state", q.Get("state")+"A"); return q }},
		{"cut state", "state_unknown", func(_ *browser, q url.Values) url.Values { q.Set("state", q.Get("state")[1:]); return q }},
		{"state in lower case", "state_unknown", func(_ *browser, q url.Values) url.Values {
			q.Set("state", strings.ToLower(q.Get("state")))
			return q
		}},
		{"long state", "state_unknown", with("state", strings.Repeat("A", 1<<16))},
		{"state with NUL", "state_unknown", with("state", "\x00")},
		{"no cookie", "state_unknown", func(b *browser, q url.Values) url.Values { clear(b.cookies); return q }},
		{"code twice", "callback_malformed", func(_ *browser, q url.Values) url.Values { q.Add("code", q.Get("code")); return q }},
		{"no code", "callback_malformed", without("code")},
		{"empty code", "callback_malformed", with("code", "")},
		{"unknown code", "code_refused", with("code", "a-code-that-nobody-granted")},
		{"error twice", "callback_malformed", func(_ *browser, q url.Values) url.Values { q["error"] = []string{"a", "b"}; return q }},
		{"iss twice", "callback_malformed", func(_ *browser, q url.Values) url.Values { q.Add("iss", issuer); return q }},
	} {
		t.Run(c.name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				b := w.browser(t)
				login, err := b.callback(c.edit(b, w.op.authorize(b.begin("/page"))))
				checkProtocol(t, err, c.code)
				if login.URL != "" && login.URL != origin+"/page" {
					t.Errorf("sent to %s", login.URL)
				}
				if asked := w.store.asked(); asked != "" {
					t.Errorf("the store was asked to %s", asked)
				}
			})
		})
	}
}

func without(name string) func(*browser, url.Values) url.Values {
	return func(_ *browser, q url.Values) url.Values { q.Del(name); return q }
}

func with(name, value string) func(*browser, url.Values) url.Values {
	return func(_ *browser, q url.Values) url.Values { q.Set(name, value); return q }
}

func TestCallbackRefusesDuplicateLoginCookie(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		r := b.request(http.MethodGet, "/dropgate/auth/callback?"+query.Encode(), true)
		c := b.cookies[b.logins()[0]]
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		_, err := b.complete(r)
		checkProtocol(t, err, "state_unknown")
	})
}

// The refusal comes through the browser: any code is ignored, and the text is quoted.
func TestProviderRefusalHasItsOwnError(t *testing.T) {
	eachOIDC(t, map[string]struct{ word, code, quoted string }{
		"the user's":   {"access_denied", "access_denied", `"access_denied"`},
		"a login":      {"login_required", "provider_refused", `"login_required"`},
		"a scope":      {"invalid_scope", "provider_refused", `"invalid_scope"`},
		"empty":        {"", "provider_refused", `error ""`},
		"script":       {"<script>alert(1)</script>", "provider_refused", `"<script>alert(1)</script>"`},
		"its own":      {"something_of_its_own", "provider_refused", `"something_of_its_own"`},
		"another case": {"ACCESS_DENIED", "provider_refused", `"ACCESS_DENIED"`},
		"a line break": {"access_denied\n", "provider_refused", `"access_denied\n"`},
	}, func(t *testing.T, w *oidcHarness, c struct{ word, code, quoted string }) {
		b := w.browser(t)
		query := w.op.authorize(b.begin("/page"))
		query.Set("error", c.word)
		query.Set("error_description", "words\nof the address")
		login, err := b.callback(query)
		reason := reasonOf(t, err, c.code)
		if !strings.Contains(reason, c.quoted) || !strings.Contains(reason, `"words\nof the address"`) {
			t.Errorf("reason %q", reason)
		}
		if login.ReturnTo != "/page" || len(b.logins()) != 0 || w.op.grants[query.Get("code")].used {
			t.Errorf("return to %q, cookies %q, or the code was used", login.ReturnTo, b.logins())
		}
	})
}

// Another provider's code must not be sent to this one (RFC 9207).
func TestCallbackMustComeFromConfiguredIssuer(t *testing.T) {
	for _, c := range []struct {
		name      string
		announced any
		edit      func(*browser, url.Values) url.Values
		code      string
	}{
		{"announced, right", true, with("iss", issuer), ""},
		{"announced, missing", true, without("iss"), "issuer_mismatch"},
		{"announced, wrong", true, with("iss", "https://evil.example.com"), "issuer_mismatch"},
		{"announced, empty", true, with("iss", ""), "issuer_mismatch"},
		{"announced, with a slash", true, with("iss", issuer+"/"), "issuer_mismatch"},
		{"not announced, right", absent{}, with("iss", issuer), ""},
		{"not announced, missing", absent{}, without("iss"), ""},
		{"not announced, wrong", false, with("iss", "https://evil.example.com"), "issuer_mismatch"},
		{"not announced, empty", false, with("iss", ""), "issuer_mismatch"},
		{"an error of another", true, func(_ *browser, q url.Values) url.Values {
			q.Set("iss", "https://evil.example.com")
			q.Set("error", "access_denied")
			return q
		}, "issuer_mismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.serveMetadata(object{"authorization_response_iss_parameter_supported": c.announced})
				b := w.browser(t)
				query := c.edit(b, w.op.authorize(b.begin("")))
				_, err := b.callback(query)
				if c.code == "" && err != nil {
					t.Error(err)
				} else if c.code != "" {
					checkProtocol(t, err, c.code)
					if w.op.grants[query.Get("code")].used || len(b.logins()) != 0 {
						t.Error("the code was used, or the cookie is kept")
					}
				}
			})
		})
	}
}

func TestLateSignInKeepsItsReturnTo(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin("/a-page"))
		advance(59 * time.Minute)
		login, err := b.complete(b.request(http.MethodGet, callbackOf(query), true))
		checkProtocol(t, err, "state_expired")
		if login.ReturnTo != "/a-page" {
			t.Errorf("return_to is %q", login.ReturnTo)
		}
		advance(time.Minute)
		login, err = b.complete(b.request(http.MethodGet, callbackOf(query), true))
		checkProtocol(t, err, "state_unknown")
		if login.ReturnTo != "" {
			t.Errorf("return_to is %q", login.ReturnTo)
		}
	})
}

// The operator may have removed the origin meanwhile.
func TestCallbackChecksReturnToAgain(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin("https://shop.example.com/cart"))
		w.oidc = w.replica(newRegistry(), noOtherOrigins)
		login, err := b.callback(query)
		if err != nil || login.URL != origin+"/" || !strings.Contains(login.Ignored, "allowed origin") {
			t.Errorf("sent to %s (%q, %v)", login.URL, login.Ignored, err)
		}
	})
}
