package handler_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

const (
	userHeader  = "X-Forwarded-User"
	proxySecret = "the-secret-of-the-proxy"
)

// withMode adds a mode to those of the world.
func withMode(m auth.Mode) func(*setup) {
	return func(s *setup) { s.modesAfter = append(s.modesAfter, m) }
}

// proxyMode trusts a proxy on this machine.
func proxyMode() *auth.Proxy {
	return auth.NewProxy(auth.ProxyConfig{
		Header: userHeader, Secret: clienttoken.NewSecret(proxySecret),
		Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
}

// forwardMode asks an application with alice's session only.
func forwardMode(t *testing.T) *auth.Forward {
	t.Helper()
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "app=the-session-of-alice" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"sub":"alice","name":"Alice A.","email":"alice@example.com","dwolla_customer":"`+alicesID+`"}`)
	}))
	t.Cleanup(application.Close)
	return auth.NewForward(auth.ForwardConfig{URL: application.URL, UserClaim: "sub", Claims: []string{"name", "email", "dwolla_customer"}, Transport: http.DefaultTransport})
}

func TestSessionIsCompleteInForwardAndProxyMode(t *testing.T) {
	for mode, c := range map[string]struct {
		option func(*setup)
		edits  []with
		user   map[string]any
	}{
		"forward": {withMode(forwardMode(t)), []with{header("Cookie", "app=the-session-of-alice")}, map[string]any{"id": alice, "name": "Alice A.", "email": "alice@example.com"}},
		"proxy":   {withMode(proxyMode()), []with{header(userHeader, alice), header("X-Proxy-Secret", proxySecret)}, map[string]any{"id": alice}},
	} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, policy("dwolla-customer-update"), c.option, fromSQLite(t, func(*customerdb.Database) {}))
			a := w.get(t, nobody, "/session", c.edits...)
			want := map[string]any{ // without expiresAt: these modes do not know it
				"user":        c.user,
				"customer":    map[string]any{"id": alicesID, "href": w.root + "/customers/" + alicesID},
				"environment": "sandbox",
				"actions":     []any{"customer.read", "customer.update"},
				"components":  []any{"dwolla-customer-update"},
			}
			if diff := cmp.Diff(want, sessionOf(t, a)); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
			a.access.has(t, accessLine{Mode: mode, User: alice})
		})
	}
}

// TestHostileRequestsGetNoTokenInAnyMode makes the same requests for each mode:
// none may reach Dwolla, and none leaves an audit line.
func TestHostileRequestsGetNoTokenInAnyMode(t *testing.T) {
	garbage := map[string]string{
		"empty": "", "garbage": "garbage", "8 KiB": strings.Repeat("A", 8<<10), "a path": "../../etc/passwd",
		"null": "null", "a token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", "a name": alice,
	}
	for mode, c := range map[string]struct {
		option     func(*setup)
		credential func(value string) with
	}{
		"bearer":           {func(*setup) {}, func(v string) with { return header("Authorization", "Bearer "+v) }},
		"bearer, a cookie": {func(*setup) {}, func(v string) with { return header("Cookie", cookieName+"="+v) }},
		"oidc":             {withSignIn(), func(v string) with { return header("Cookie", sessionCookie+"="+v) }},
		"forward":          {withMode(forwardMode(t)), func(v string) with { return header("Cookie", "app="+v) }},
		"proxy":            {withMode(proxyMode()), func(v string) with { return header(userHeader, v) }},
		"proxy, a secret":  {withMode(proxyMode()), func(v string) with { return header("X-Proxy-Secret", v) }},
	} {
		w := newWorld(t, c.option)
		for name, value := range garbage {
			t.Run(mode+" "+name, func(t *testing.T) {
				a := w.vend(t, nobody, `{"action":"customer.read"}`, c.credential(value), fromPage("same-origin", w.url))
				a.refused(t, http.StatusUnauthorized, "Unauthenticated")
				a.access.has(t, accessLine{User: empty, Code: "Unauthenticated"})
			})
		}
	}
}
