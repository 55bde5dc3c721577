package handler_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// Strangers are refused before anything of theirs is looked at, and an address
// that sends good ones is not.
func TestBadNoticesOfOneAddressAreLimited(t *testing.T) {
	inbox := &received{}
	w := newWorld(t, withSignIn(), webhooks(inbox), behindProxies)
	from := func(addr string) with { return header("X-Forwarded-For", addr) }
	webhook := func(addr string) answer {
		return w.do(t, w.request(nobody, http.MethodPost, "/webhooks/dwolla", body("{}"), from(addr), signature("abc")))
	}
	for range 700 {
		if got := webhook("2001:db8::1"); got.status != http.StatusOK {
			t.Fatalf("a good webhook: %d", got.status)
		}
	}
	inbox.err = &clienttoken.Refusal{Code: clienttoken.Unauthenticated, Reason: "signature"}
	for n := range 602 {
		want := http.StatusUnauthorized
		if n >= 600 {
			want = http.StatusTooManyRequests
		}
		if got := webhook("2001:db8::1"); got.status != want {
			t.Fatalf("bad webhook %d: %d, want %d", n, got.status, want)
		}
	}
	received := len(inbox.bodies)
	got := w.do(t, w.notice("logout_token=x", from("2001:db8::2")))
	got.refused(t, http.StatusTooManyRequests, "TooManyRequests")
	if got.header.Get("Retry-After") == "" || len(inbox.bodies) != received {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	token := url.Values{"logout_token": {w.logoutToken(t, alice)}}.Encode()
	if got := w.do(t, w.notice(token, from("2001:db8:0:1::1"))); got.status != http.StatusOK {
		t.Errorf("the provider's, from another address: %d %s", got.status, got.body)
	}
}

// The provider would be asked about each code, with our secret.
func TestJunkCodesOfOneAddressAreLimited(t *testing.T) {
	w := newWorld(t, withSignIn(), behindProxies)
	junk := func(addr string) answer {
		began := w.do(t, w.request(nobody, http.MethodGet, "/auth/login", header("X-Forwarded-For", addr)))
		at, err := url.Parse(began.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		cookie, _, _ := strings.Cut(began.header.Get("Set-Cookie"), ";")
		query := url.Values{"code": {"junk"}, "state": {at.Query().Get("state")}, "iss": {w.issuer}}
		return w.do(t, w.request(nobody, http.MethodGet, "/auth/callback?"+query.Encode(), asPerson,
			header("X-Forwarded-For", addr), header("Cookie", cookie)))
	}
	for n := range 22 {
		want := http.StatusBadRequest
		if n >= 20 {
			want = http.StatusTooManyRequests
		}
		if got := junk("192.0.2.1"); got.status != want {
			t.Errorf("junk code %d: %d, want %d", n, got.status, want)
		}
	}
	if got := junk("192.0.2.2"); got.status != http.StatusBadRequest {
		t.Errorf("from another address: %d", got.status)
	}
}
