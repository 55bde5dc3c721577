package handler_test

import (
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/auth"
)

func TestHostileSessionCookiesAreRefused(t *testing.T) {
	w := newWorld(t, withSignIn())
	good := w.started(t, alice)
	first, another := w.started(t, alice), w.started(t, bob)
	ended := w.signedIn(t, alice)
	over := ended.session()
	ended.logout()
	for name, cookie := range map[string]string{
		"truncated":          sessionCookie + "=" + good[:42],
		"one character more": sessionCookie + "=" + good + "A",
		"padded":             sessionCookie + "=" + good + "=",
		"another last bit":   sessionCookie + "=" + good[:42] + "_",
		"lower case":         sessionCookie + "=" + strings.ToLower(good),
		"empty":              sessionCookie + "=",
		"ended":              sessionCookie + "=" + over,
		"never was":          sessionCookie + "=" + strings.Repeat("A", 43),
		"8 KiB":              sessionCookie + "=" + strings.Repeat(good, 190),
		"doubled":            sessionCookie + "=" + first + "; " + sessionCookie + "=" + first,
		"and another's":      sessionCookie + "=" + first + "; " + sessionCookie + "=" + another,
		"and an empty one":   sessionCookie + "=; " + sessionCookie + "=" + first,
		"quotes within":      sessionCookie + `="` + good[:20] + `"` + good[20:],
		"quotes twice":       sessionCookie + `=""` + good + `""`,
		"escaped":            sessionCookie + "=%41" + good[1:],
		"a path":             sessionCookie + "=../" + good,
		"a script":           sessionCookie + "=<script>",
	} {
		t.Run(name, func(t *testing.T) {
			want := "oidc: "
			if strings.HasPrefix(name, "quotes") {
				want = "none: " // net/http does not parse it as a cookie
			}
			w.isRefused(t, cookie, want)
			if strings.Contains(cookie, first) {
				return // another test covers its logout
			}
			w.logoutSpares(t, cookie, good)
		})
	}
}

// isRefused fails t unless requests with the cookie are refused, for a reason
// with this prefix.
func (w *world) isRefused(t *testing.T, cookie, reason string) {
	t.Helper()
	for _, a := range []answer{
		w.get(t, nobody, "/session", header("Cookie", cookie)),
		w.vend(t, nobody, `{"action":"customer.read"}`, header("Cookie", cookie), fromPage("same-origin", w.url)),
	} {
		a.refused(t, http.StatusUnauthorized, "Unauthenticated")
		a.access.has(t, accessLine{User: empty, Mode: empty})
		if !strings.HasPrefix(a.access.Reason, reason) || len(cookie) > 60 && strings.Contains(a.body, cookie[40:60]) {
			t.Errorf("the reason is %q, the answer %s", a.access.Reason, a.body)
		}
	}
}

// logoutSpares fails t if a logout with the cookie ends the session good.
func (w *world) logoutSpares(t *testing.T, cookie, good string) {
	t.Helper()
	a := w.do(t, w.request(nobody, http.MethodPost, "/auth/logout", header("Cookie", cookie), fromPage("same-origin", w.url)))
	a.access.has(t, accessLine{Status: 200, User: empty})
	a = w.get(t, nobody, "/session", header("Cookie", sessionCookie+"="+good))
	a.access.has(t, accessLine{Status: 200, User: alice})
}

// The request counts as anonymous, but it still clears the cookies.
func TestLogoutWithTwoSessionCookiesEndsBoth(t *testing.T) {
	w := newWorld(t, withSignIn())
	first, second := w.started(t, alice), w.started(t, alice)
	both := header("Cookie", sessionCookie+"="+first+"; "+sessionCookie+"="+second)
	a := w.get(t, nobody, "/session", both)
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
	a = w.do(t, w.request(nobody, http.MethodPost, "/auth/logout", both, fromPage("same-origin", w.url)))
	a.access.has(t, accessLine{Status: 200, User: alice})
	for _, id := range []string{first, second} {
		a := w.get(t, nobody, "/session", header("Cookie", sessionCookie+"="+id))
		a.refused(t, http.StatusUnauthorized, "Unauthenticated")
	}
}

// TestSimilarCookieNameIsIgnored also accepts quotes, as part of a cookie's
// syntax (RFC 6265, 4.1.1).
func TestSimilarCookieNameIsIgnored(t *testing.T) {
	w := newWorld(t, withSignIn())
	good := w.started(t, alice)
	for cookie, user := range map[string]string{
		sessionCookie + `="` + good + `"`:        alice,
		"__Host-" + sessionCookie + "=" + good:   nobody,
		"Dropgate-Session=" + good:               nobody,
		sessionCookie + "2=" + good:              nobody,
		"x" + sessionCookie + "=" + good:         nobody,
		"x=1; " + sessionCookie + "=" + good:     alice,
		cookieName + "=x; dropgate-login-=" + "": nobody,
	} {
		a := w.get(t, nobody, "/session", header("Cookie", cookie))
		if a.access.User != user || (a.status == http.StatusOK) != (user == alice) {
			t.Errorf("%.40s: answer %d to %q (%s)", cookie, a.status, a.access.User, a.access.Reason)
		}
	}
}

func TestSessionsOfTwoUsersStayApart(t *testing.T) {
	w := newWorld(t, withSignIn())
	alices, bobs := w.signedIn(t, alice), w.signedIn(t, bob)
	a := alices.vend()
	a.vended(t, w.filled(sentRead))
	a = bobs.vend()
	a.vended(t, strings.ReplaceAll(w.filled(sentRead), alicesID, bobsID))
	a = bobs.ask(http.MethodPost, "/client-tokens", body(w.filled(`{"action":"customer.read","_links":{"customer":{"href":"ROOT/customers/ALICE"}}}`)))
	a.refused(t, http.StatusForbidden, "CustomerMismatch")
	bobs.logout()
	bobs.isSignedIn(nobody)
	alices.isSignedIn(alice)
}

// TestLoginCookieIsBoundToItsSignIn moves a login cookie between browsers. A
// callback with the cookie of another sign-in fails.
func TestLoginCookieIsBoundToItsSignIn(t *testing.T) {
	w := newWorld(t, withSignIn())
	victim, attacker := w.browser(t), w.browser(t)
	attackers := attacker.back(attacker.begin("/"), bob)
	victim.begin("/")
	for victim.logins()[0].Name == attacker.logins()[0].Name { // there are eight names
		victim = w.browser(t)
		victim.begin("/")
	}
	a := victim.open(attackers)
	a.shows(t, http.StatusBadRequest, "state_unknown")
	victim.isSignedIn(nobody)
	mixed := victim.logins()[0]
	mixed.Name = attacker.logins()[0].Name
	victim.keep(mixed)
	a = victim.open(attackers)
	a.shows(t, http.StatusBadRequest, "state_expired")
	victim.isSignedIn(nobody)
}

func TestHTTPSCookiesAreHostOnly(t *testing.T) {
	w := newWorld(t, withSignIn(configured(func(c *auth.OIDCConfig) { c.Origin = "https://dropgate.example.com" })))
	resp, err := w.client.Do(w.request(nobody, http.MethodGet, "/auth/login"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		w.tokens.add(cookie.Value)
		if !strings.HasPrefix(cookie.Name, "__Host-dropgate-login-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" {
			t.Errorf("with https the cookie is %s, Secure %v, HttpOnly %v, Path %q", cookie.Name, cookie.Secure, cookie.HttpOnly, cookie.Path)
		}
	}
	if len(resp.Cookies()) != 1 {
		t.Errorf("%d cookies, want 1", len(resp.Cookies()))
	}
}
