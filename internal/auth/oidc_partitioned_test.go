package auth_test

import (
	"net/http"
	"net/url"
	"testing"

	"dropgate/internal/auth"
)

func partitioned(c *auth.OIDCConfig) { c.SameSite, c.Partitioned = http.SameSiteNoneMode, true }

func TestPartitionedCookiesWorkInFrames(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.oidc = w.replica(newRegistry(), partitioned)
		b := w.browser(t)
		var set []*http.Cookie
		begun, err := w.oidc.Begin(b.request(http.MethodGet, "/dropgate/auth/login", true))
		if err != nil {
			t.Fatal(err)
		}
		b.keep(begun.Cookies)
		set = append(set, begun.Cookies...)
		login, err := b.callback(w.op.authorize(must(url.Parse(begun.URL))))
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, login.Cookies...)
		logout, err := b.logout()
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, logout.Cookies...)
		if len(set) < 4 {
			t.Errorf("only %d cookies are set", len(set))
		}
		for _, c := range set {
			if !c.Partitioned || !c.Secure || c.SameSite != http.SameSiteNoneMode || !c.HttpOnly || c.Path != "/" {
				t.Errorf("%s", c)
			}
		}
	})
}

func TestUsualCookiesAreNotPartitioned(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		for _, c := range append(b.signIn().Cookies, b.cookies["__Host-dropgate-session"]) {
			if c.Partitioned || c.SameSite == http.SameSiteNoneMode {
				t.Errorf("%s", c)
			}
		}
	})
}
