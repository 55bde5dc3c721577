package handler_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// mangled is an address with other parameters; a nil one is left out.
func mangled(t *testing.T, address string, changed map[string][]string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	for name, values := range changed {
		query[name] = values
		if values == nil {
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// withTokens changes members of the token endpoint's answer; a nil one is left
// out.
func withTokens(t *testing.T, changed map[string]any) func(string) string {
	return func(real string) string {
		var all map[string]any
		if err := json.Unmarshal([]byte(real), &all); err != nil {
			t.Error(err)
		}
		for name, value := range changed {
			all[name] = value
			if value == nil {
				delete(all, name)
			}
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
}

// failing lists failing sign-ins. Each gets a browser and the address of its
// callback.
var failing = map[string]struct {
	reason  string
	known   bool // return_to is known
	message string
	back    func(t *testing.T, b *browser, address string) string
}{
	"no state": {"callback_malformed", false, "sign-in failed", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"state": nil})
	}},
	"two states": {"callback_malformed", false, "sign-in failed", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"state": {"a", "b"}})
	}},
	"neither code nor error": {"callback_malformed", true, "sign-in failed", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"code": nil})
	}},
	"another state": {"state_unknown", false, "another browser", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"state": {"0123456789abcdef0123456789"}})
	}},
	"another browser": {"state_unknown", false, "another browser", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		b.jar = b.w.browser(t).jar
		return address
	}},
	"a cookie that is not ours": {"state_expired", false, "has expired", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		for _, cookie := range b.logins() {
			cookie.Value = cookie.Value[:len(cookie.Value)-5]
			b.keep(cookie)
		}
		return address
	}},
	"the same callback twice": {"state_unknown", false, "already used", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		if a := b.open(address); a.status != http.StatusSeeOther {
			t.Errorf("the first time the answer is %d", a.status)
		}
		b.logout()
		return address
	}},
	"a code that the provider takes twice": {"state_used", true, "already used", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		var first string
		b.w.wire.forges(func(real string) string {
			first = cmp.Or(first, real)
			return first
		})
		begun := b.logins()
		if a := b.open(address); a.status != http.StatusSeeOther {
			t.Errorf("the first time the answer is %d", a.status)
		}
		b.logout()
		b.keep(begun...)
		return address
	}},
	"no at the provider": {"access_denied", true, "was canceled", func(t *testing.T, b *browser, _ string) string {
		t.Helper()
		b.http.Jar = b.w.browser(t).jar // otherwise the provider remembers the user
		return passProvider(t, b.http, b.begin("/a?b=c&d=(e)#f"), url.Values{"cancel": {"cancel"}}, b.w.url)
	}},
	"an error of the provider's": {"provider_refused", true, "sign-in failed", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"code": nil, "error": {"invalid_scope"}})
	}},
	"another issuer": {"issuer_mismatch", true, "sign-in failed", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"iss": {evil}})
	}},
	"no issuer": {"issuer_mismatch", true, "sign-in failed", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"iss": nil})
	}},
	"another code": {"code_refused", true, "sign-in failed", func(t *testing.T, _ *browser, address string) string {
		t.Helper()
		return mangled(t, address, map[string][]string{"code": {"0123456789abcdef0123456789"}})
	}},
	"a client that the provider does not know": {"exchange_refused", true, "sign-in failed", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		changed := b.w.registration()
		changed.Secret = clienttoken.NewSecret("another secret")
		b.w.idp.AddClient(changed)
		t.Cleanup(func() { b.w.idp.AddClient(b.w.registration()) })
		return address
	}},
	"tokens that are none": {"exchange_failed", true, "sign-in failed", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		b.w.wire.forges(func(string) string { return "<html>not a token" })
		return address
	}},
	"no ID token": {"id_token_missing", true, "sign-in failed", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		b.w.wire.forges(withTokens(t, map[string]any{"id_token": nil}))
		return address
	}},
	"a stranger's ID token": {"id_token_invalid", true, "sign-in failed", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		b.w.wire.forges(withTokens(t, map[string]any{"id_token": b.w.token(alice)}))
		return address
	}},
	"the ID token of another sign-in": {"nonce_mismatch", true, "sign-in failed", func(t *testing.T, b *browser, address string) string {
		t.Helper()
		b.w.browser(t).signIn(alice, "")
		another, _ := b.w.wire.seen()
		b.w.wire.forges(withTokens(t, map[string]any{"id_token": another}))
		return address
	}},
}

func TestFailedSignInOffersToTryAgain(t *testing.T) {
	for _, base := range []string{"", "/bank/dropgate"} {
		w := newWorld(t, withSignIn(), basePath(base))
		for name, row := range failing {
			t.Run(name+base, func(t *testing.T) {
				b := w.browser(t)
				a := b.open(row.back(t, b, b.back(b.begin("/a?b=c&d=(e)#f"), alice)))
				a.shows(t, http.StatusBadRequest, row.reason)
				a.access.has(t, accessLine{Route: base + "/auth/callback", Code: "BadRequest", Mode: "oidc"})
				a.tellsPeople(t, row.reason, row.message)
				again, after := base+"/auth/login", w.url+"/"
				if row.known {
					again, after = again+"?return_to=%2Fa%3Fb%3Dc%26d%3D%28e%29%23f", w.url+"/a?b=c&d=(e)#f"
				}
				if a.page.again != again {
					t.Fatalf("the page leads to %q, want %q", a.page.again, again)
				}
				b.isSignedIn(nobody)
				w.wire.forges(nil)
				w.idp.AddClient(w.registration())
				b.triesAgain(a, after)
			})
		}
	}
}

// tellsPeople fails t unless the page contains message, and the log the reason.
func (a *answer) tellsPeople(t *testing.T, reason, message string) {
	t.Helper()
	if !strings.HasPrefix(a.access.Reason, reason+": ") || !strings.Contains(a.page.message, message) {
		t.Errorf("the log says %q, the page %q", a.access.Reason, a.page.message)
	}
}

// triesAgain fails the test unless the page's link leads to a successful sign-in,
// which returns to that address.
func (b *browser) triesAgain(failed answer, end string) {
	b.t.Helper()
	a := b.open(b.w.url + failed.page.again)
	a = b.open(b.back(a.header.Get("Location"), alice))
	if got := a.header.Get("Location"); got != end {
		b.t.Errorf("the second sign-in ends at %q (%s), want %q", got, a.access.Reason, end)
	}
	b.isSignedIn(alice)
}

// TestErrorPageEchoesNothing relies on readPage: it accepts only text as message,
// link, reason and id.
func TestErrorPageEchoesNothing(t *testing.T) {
	w := newWorld(t, withSignIn(), trustedProxies("127.0.0.1/32"), allowedOrigins(app))
	for _, script := range []string{
		`"><script>alert(1)</script>`, `'onmouseover=alert(1) x='`, `javascript:alert(1)`, `</code><img src=x onerror=alert(1)>`,
		`{{.}}alert(1)`, "\r\nX-Alert: alert(1)", `&lt;script&gt;alert(1)`,
	} {
		b := w.browser(t)
		good := b.back(b.begin("/"), alice)
		hostile := []with{header("X-Request-Id", strings.NewReplacer("\r", "", "\n", "").Replace(script)), header("Origin", evil)}
		for name, address := range map[string]string{
			"return_to": "/auth/login?login_hint=a&login_hint=b&return_to=" + url.QueryEscape("//"+script),
			"a foreign": "/auth/login?login_hint=a&login_hint=b&return_to=" + url.QueryEscape(app+script),
			"state":     "/auth/callback?state=" + url.QueryEscape(script),
			"error":     mangled(t, good, map[string][]string{"code": nil, "error": {script}, "error_description": {script}, "error_uri": {script}}),
			"iss":       mangled(t, good, map[string][]string{"iss": {script}}),
			"code":      mangled(t, good, map[string][]string{"code": {script}}),
			"more":      "/auth/callback?" + url.QueryEscape(script) + "=" + url.QueryEscape(script),
		} {
			a := b.open(address, hostile...)
			if a.page == nil || strings.Contains(a.body, "alert") || a.header.Get("X-Alert") != "" {
				t.Errorf("%s: answer %d %s", name, a.status, a.body)
			}
		}
	}
}

// TestReturnToKeepsEveryCharacter follows the link of a page, to include the
// escaping for HTML.
func TestReturnToKeepsEveryCharacter(t *testing.T) {
	w := newWorld(t, withSignIn(), allowedOrigins(app))
	for _, returnTo := range []string{
		"/?a=b&c=d&amp;e=%26%3D%23%2B+", "/%22%3Cx%3E%27", "/a%20b?c=%F0%9F%98%80#d?e&f", "/!$()*+,;=:@~-._", app + "/?x=y&z#w", "/?next=https://evil.example",
		"/'`{|}^?'`{|}^#'`{|}^", "/a%2520b",
	} {
		b := w.browser(t)
		a := b.open(mangled(t, b.back(b.begin(returnTo), alice), map[string][]string{"iss": nil}))
		a.shows(t, http.StatusBadRequest, "issuer_mismatch")
		want := returnTo
		if strings.HasPrefix(want, "/") {
			want = w.url + want
		}
		b.triesAgain(a, want)
	}
}

func TestFailedSignInClearsItsCookie(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	other := b.begin("/other")
	address := b.back(b.begin("/"), alice)
	if n := len(b.logins()); n != 2 {
		t.Fatalf("the browser has begun %d sign-ins", n)
	}
	a := b.open(mangled(t, address, map[string][]string{"code": nil, "error": {"access_denied"}}))
	a.shows(t, http.StatusBadRequest, "access_denied")
	if n := len(b.logins()); n != 1 {
		t.Errorf("the browser remembers %d sign-ins, want the other one", n)
	}
	a = b.open(address)
	a.shows(t, http.StatusBadRequest, "state_unknown")
	a = b.open(b.back(other, alice))
	if n := len(b.logins()); a.status != http.StatusSeeOther || n != 0 {
		t.Errorf("answer %d, and the browser remembers %d sign-ins", a.status, n)
	}
}

func TestSignInSurvivesProviderOutage(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	address := b.back(b.begin("/x"), alice)
	w.wire.breaks(&url.Error{Op: "Post", URL: w.issuer, Err: errors.New("no route to host")})
	for range 2 {
		a := b.open(address)
		a.shows(t, http.StatusServiceUnavailable, "Unavailable")
		if a.page.again != "/auth/login?return_to=%2Fx" || !strings.Contains(a.access.Reason, "token endpoint cannot be reached") {
			t.Errorf("the page leads to %q, the log says %q", a.page.again, a.access.Reason)
		}
		a.access.has(t, accessLine{Code: "Unavailable"})
	}
	w.wire.breaks(nil)
	if a := b.open(address); a.header.Get("Location") != w.url+"/x" {
		t.Errorf("after the outage the answer is %d (%s)", a.status, a.access.Reason)
	}
	b.isSignedIn(alice)
}
