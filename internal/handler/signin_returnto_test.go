package handler_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestForeignReturnToEndsAtTheStartPage(t *testing.T) {
	w := newWorld(t, withSignIn(), allowedOrigins(app))
	for _, query := range []string{
		"return_to=https://evil.example", "return_to=//evil.example", "return_to=/%5Cevil.example", "return_to=https://app.example.com.evil.example/",
		"return_to=https://app.example.com@evil.example/", "return_to=javascript:alert(1)", "return_to=http://app.example.com/", "return_to=x",
		"return_to=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "return_to=/x&return_to=https://evil.example", "return_to=/" + strings.Repeat("x", 2048),
	} {
		t.Run(query, func(t *testing.T) {
			b := w.browser(t)
			a := b.open("/auth/login?" + query)
			a.access.has(t, accessLine{Route: "/auth/login", Code: empty})
			if a.status != http.StatusSeeOther || !strings.HasPrefix(a.access.Reason, "return_to ") {
				t.Fatalf("answer %d (%q)", a.status, a.access.Reason)
			}
			a = b.open(b.back(a.header.Get("Location"), alice))
			if got := a.header.Get("Location"); got != w.url+"/" {
				t.Errorf("the browser is sent to %q", got)
			}
			b.isSignedIn(alice)
		})
	}
}

func TestLongReturnToReturnsAsWritten(t *testing.T) {
	w := newWorld(t, withSignIn(), allowedOrigins(app))
	b := w.browser(t)
	long := app + "/a?" + strings.Repeat("'`{|}", 400)
	first := b.begin("/short")
	second := b.begin(long)
	for _, row := range []struct{ provider, want string }{{second, long}, {first, w.url + "/short"}} {
		a := b.open(b.back(row.provider, alice))
		if got := a.header.Get("Location"); got != row.want {
			t.Errorf("the browser is sent to %q (%s), want %q", got, a.access.Reason, row.want)
		}
	}
}

func TestMalformedParameterOfSignInIsRefused(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	const address = "/auth/login?return_to=/x&login_hint=evil&login_hint=alert"
	a := b.send(w.request(nobody, http.MethodGet, address))
	a.failed(t, http.StatusBadRequest, "BadRequest")
	page := b.open(address)
	page.shows(t, http.StatusBadRequest, "return_to")
	for _, message := range []string{a.problem.Message, page.page.message} {
		if !strings.HasPrefix(message, "A parameter of this sign-in is malformed") {
			t.Errorf("the message is %q", message)
		}
	}
	if page.page.again != "/auth/login?return_to=%2Fx" || len(b.cookies()) != 0 {
		t.Errorf("the page leads to %q, the cookies are %v", page.page.again, b.cookies())
	}
}
