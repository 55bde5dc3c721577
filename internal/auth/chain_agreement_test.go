package auth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

// It is unclear which user was meant.
func TestChainRefusesCredentialsOfDifferentUsers(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn() // alice
		bearers := newHarness(newIDP(published()...))
		bearers.run(t)
		application := newApplication()
		token := func(sub string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tokenWith(object{"sub": sub})) }
		}
		inTokenCookie := func(sub string) func(*http.Request) {
			return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookie, Value: tokenWith(object{"sub": sub})}) }
		}
		proxied := func(user string) func(*http.Request) {
			return func(r *http.Request) {
				r.RemoteAddr = proxyPeer
				r.Header.Set("X-Forwarded-User", user)
				r.Header.Set("X-Proxy-Secret", proxySecret)
			}
		}
		modes := map[string]auth.Mode{
			"proxy": auth.NewProxy(proxyConfig()), "oidc": w.oidc, "bearer": bearers.bearer, "forward": forwardMode(application),
		}
		orders := [][]string{{"proxy", "oidc", "bearer", "forward"}, {"proxy", "bearer", "oidc", "forward"}}
		for name, c := range map[string]struct {
			edits []func(*http.Request)
			want  []string // in the first order and in the second
		}{
			"the session alone":                   {nil, []string{aliceCookie, aliceCookie}},
			"and a token of the same user":        {edits(token("alice")), []string{aliceCookie, alice}},
			"and a token of another":              {edits(token("bob")), []string{refused, refused}},
			"and a token cookie of the same user": {edits(inTokenCookie("alice")), []string{aliceCookie, aliceCookie}},
			"and a token cookie of another":       {edits(inTokenCookie("bob")), []string{refused, refused}},
			"and two tokens, one of another":      {edits(token("alice"), inTokenCookie("bob")), []string{aliceCookie, refused}},
			"and the proxy's same user":           {edits(proxied("alice")), []string{aliceCookie, aliceCookie}},
			"and another user of the proxy's":     {edits(proxied("bob")), []string{refused, refused}},
			"and all of the same user":            {edits(proxied("alice"), token("alice"), inTokenCookie("alice")), []string{aliceCookie, aliceCookie}},
			"and all but the last of the same":    {edits(proxied("alice"), token("bob")), []string{refused, refused}},
			"and a bad token":                     {edits(func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }), []string{aliceCookie, refused}},
			"and a token bound to a key": {edits(func(r *http.Request) {
				r.Header.Set("Authorization", "Bearer "+tokenWith(object{"cnf": object{}, "sub": "bob"}))
			}), []string{aliceCookie, refused}},
			"and an expired token of another": {edits(func(r *http.Request) {
				r.Header.Set("Authorization", "Bearer "+tokenWith(object{"exp": 5, "sub": "bob"}))
			}), []string{aliceCookie, refused}},
			"and the application's cookie":          {edits(func(r *http.Request) { r.Header.Add("Cookie", appSession) }), []string{aliceCookie, aliceCookie}},
			"and a stale session, a token of bob's": {edits(token("bob"), func(r *http.Request) { r.Header.Set("Cookie", "__Host-dropgate-session="+staleID) }), []string{refused, "accepted bob"}},
		} {
			for i, order := range orders {
				session, err := chainOf(modes, order).Authenticate(b.edited(c.edits), nil)
				if got := verdict(session, err); got != c.want[i] {
					t.Errorf("%q, %s: %s (%v), want %s", order, name, got, err, c.want[i])
				}
			}
		}
		if application.calls() != 1 {
			t.Errorf("the application was asked %d times about its one cookie", application.calls())
		}
	})
}

func chainOf(modes map[string]auth.Mode, order []string) *auth.Chain {
	chain := make([]auth.Mode, 0, len(order))
	for _, mode := range order {
		chain = append(chain, modes[mode])
	}
	return auth.NewChain(prometheus.NewRegistry(), chain...)
}

// edited returns a request of the browser with edits.
func (b *browser) edited(edits []func(*http.Request)) *http.Request {
	r := b.request(http.MethodPost, "/client-tokens", false)
	for _, edit := range edits {
		edit(r)
	}
	return r
}

const staleID = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func edits(all ...func(*http.Request)) []func(*http.Request) { return all }

// The check peeks at the session.
func TestCheckingOtherCredentialsExtendsNoSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		bearers := newHarness(newIDP(published()...))
		bearers.run(t)
		chain := auth.NewChain(prometheus.NewRegistry(), bearers.bearer, w.oidc)
		for range 3 {
			advance(4 * time.Minute)
			r := b.request(http.MethodPost, "/client-tokens", false)
			r.Header.Set("Authorization", "Bearer "+goodToken())
			if got := verdict(chain.Authenticate(r, nil)); got != alice {
				t.Error(got)
			}
		}
		advance(4 * time.Minute)
		b.checkUser(refused)
	})
}

// Without the second answer, the request must fail.
func TestUncheckableSecondCredentialIsOutage(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		down := newIDP()
		down.serve(discovery, status(http.StatusInternalServerError))
		chain := auth.NewChain(prometheus.NewRegistry(), w.oidc, newHarness(down).bearer)
		r := b.request(http.MethodPost, "/client-tokens", false)
		r.Header.Set("Authorization", "Bearer "+goodToken())
		if got := verdict(chain.Authenticate(r, nil)); got != unavailable {
			t.Error(got)
		}
	})
}
