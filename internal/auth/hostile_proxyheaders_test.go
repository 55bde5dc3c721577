package auth_test

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

// theApplication answers the mode forward, and notes what it was sent.
type theApplication struct{ sent []http.Header }

func (a *theApplication) RoundTrip(r *http.Request) (*http.Response, error) {
	a.sent = append(a.sent, r.Header.Clone())
	return newIDP().RoundTrip(r) // which knows no such page
}

// TestForgedProxyHeadersAreRefusedBesideGoodCredentials has all modes in the order
// that is allowed: proxy first, forward last.
func TestForgedProxyHeadersAreRefusedBesideGoodCredentials(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		b := w.browser(t)
		b.signIn()
		application := &theApplication{}
		forward := auth.NewForward(auth.ForwardConfig{URL: "https://app.internal/me", UserClaim: "sub", Transport: application})
		bearer := newWorld(newIDP(published()...)).bearer
		for _, modes := range [][]auth.Mode{
			{auth.NewProxy(proxyConfig()), w.oidc, bearer, forward},
			{auth.NewProxy(proxyConfig()), bearer, w.oidc, forward},
		} {
			chain := auth.NewChain(prometheus.NewRegistry(), modes...)
			for name, c := range map[string]struct {
				edit func(*http.Request)
				want string
			}{
				"a session":           {func(*http.Request) {}, aliceCookie},
				"and a forged header": {func(r *http.Request) { r.Header.Set("X-Forwarded-User", "bob") }, refused},
				"and a forged secret": {func(r *http.Request) { r.Header.Set("X-Proxy-Secret", proxySecret) }, refused},
				"and both": {func(r *http.Request) {
					r.Header.Set("X-Forwarded-User", "alice")
					r.Header.Set("X-Proxy-Secret", proxySecret)
				}, refused},
				"and a token, and a forged header": {func(r *http.Request) {
					r.Header.Set("Authorization", "Bearer "+plain())
					r.Header.Set("X-Forwarded-User", "bob")
				}, refused},
				"from the proxy, without a user": {func(r *http.Request) { r.RemoteAddr = proxyPeer; r.Header.Set("X-Proxy-Secret", proxySecret) }, aliceCookie},
			} {
				r := b.request(http.MethodPost, "/client-tokens", false)
				c.edit(r)
				if got := verdict(chain.Authenticate(r, nil)); got != c.want {
					t.Errorf("%s: %s, want %s", name, got, c.want)
				}
			}
		}
		if len(application.sent) != 0 {
			t.Errorf("the application was sent %q", application.sent)
		}
		b.is(aliceCookie)
	})
}
