package auth_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth"
	"dropgate/internal/auth/session"
)

func (b *browser) logout() (auth.Logout, error) {
	b.t.Helper()
	out, err := b.w.oidc.Logout(b.request(http.MethodPost, "/dropgate/auth/logout", false))
	b.keep(out.Cookies)
	b.checkNoSecret(err)
	return out, err
}

func TestLogoutEndsSessionPermanently(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b, elsewhere := w.browser(t), w.browser(t)
		b.signIn()
		elsewhere.signIn()
		thief := b.copied()
		out, err := b.logout()
		if err != nil || out.User != "alice" || len(b.cookies) != 0 {
			t.Errorf("%q (%v), cookies %v", out.User, err, b.cookies)
		}
		thief.checkUser(refused)
		b.checkUser(nobody)
		elsewhere.checkUser(aliceCookie)
	})
}

// ending is an expected end-session URL.
type ending struct {
	endpoint any
	pad      int        // of the ID token
	own      url.Values // the endpoint's own query
	hint     bool
}

func (w *oidcHarness) endSession(t *testing.T, c ending) (at, idToken string) {
	t.Helper()
	w.serveMetadata(object{"end_session_endpoint": c.endpoint})
	w.op.tokens(func(nonce string) string {
		idToken = idTokenOf(object{"nonce": nonce, "pad": strings.Repeat("x", c.pad)})
		return idToken
	})
	b := w.browser(t)
	b.signIn()
	out, err := b.logout()
	if err != nil {
		t.Error(err)
	}
	return out.EndSessionURL, idToken
}

func TestEndSessionURLCarriesIDTokenHint(t *testing.T) {
	eachOIDC(t, map[string]ending{
		"usual":             {issuer + endSessionAt, 0, nil, true},
		"its own query":     {issuer + endSessionAt + "?tenant=a&b=%26", 0, url.Values{"tenant": {"a"}, "b": {"&"}}, true},
		"a query like ours": {issuer + endSessionAt + "?client_id=evil", 0, nil, true},
		"a large ID token":  {issuer + endSessionAt, 4 << 10, nil, false},
	}, func(t *testing.T, w *oidcHarness, c ending) {
		got, idToken := w.endSession(t, c)
		want := url.Values{"client_id": {clientID}, "post_logout_redirect_uri": {origin + "/"}}
		if c.hint {
			want.Set("id_token_hint", idToken)
		}
		maps.Copy(want, c.own)
		if diff := cmp.Diff(want, must(url.Parse(got)).Query()); diff != "" || !strings.HasPrefix(got, issuer+endSessionAt+"?") {
			t.Errorf("%s: %s", got, diff)
		}
	})
}

func TestMissingEndSessionEndpointGivesNoURL(t *testing.T) {
	eachOIDC(t, map[string]any{"none": absent{}, "empty": "", "no URL": "https://id.example.com/%zz"}, func(t *testing.T, w *oidcHarness, endpoint any) {
		if got, _ := w.endSession(t, ending{endpoint: endpoint}); got != "" {
			t.Error(got)
		}
	})
}

func TestLargeIDTokenIsNotUsedAsHint(t *testing.T) {
	sizes := map[bool]int{}
	for pad := 2400; pad < 2600; pad++ {
		withOIDC(t, func(t *testing.T, w *oidcHarness) {
			got, idToken := w.endSession(t, ending{endpoint: issuer + endSessionAt, pad: pad})
			fits := len(idToken) <= 4<<10
			if has := strings.Contains(got, "id_token_hint"); has != fits {
				t.Errorf("an ID token of %d bytes is a hint: %v", len(idToken), has)
			}
			if fits {
				sizes[fits] = max(sizes[fits], len(idToken))
			} else if sizes[fits] == 0 {
				sizes[fits] = len(idToken)
			}
		})
	}
	if sizes[true] < 4<<10-1 || sizes[false] > 4<<10+2 || sizes[false] == 0 {
		t.Errorf("the sizes next to the border were %v", sizes)
	}
}

func TestLogoutWithoutSessionSucceeds(t *testing.T) {
	const name = "__Host-dropgate-session"
	for what, value := range map[string]string{
		"no cookie": "", "garbage": name + "=garbage", "unknown": name + "=" + session.NewID().Reveal(),
		"8 KiB": name + "=" + strings.Repeat("A", 8<<10), "another cookie": "theme=dark",
	} {
		t.Run(what, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				out, err := w.oidc.Logout(request(t.Context(), inSession(value)))
				if err != nil || out.User != "" || len(out.Cookies) != 1 || out.Cookies[0].MaxAge >= 0 ||
					!strings.HasPrefix(out.EndSessionURL, issuer+endSessionAt) || strings.Contains(out.EndSessionURL, "id_token_hint") {
					t.Errorf("%+v (%v)", out, err)
				}
			})
		})
	}
}

// Two session cookies are refused. A logout must then end both sessions.
func TestLogoutEndsSessionInEachCookie(t *testing.T) {
	const name = "__Host-dropgate-session"
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		one, two, other := w.browser(t), w.browser(t), w.browser(t)
		for _, b := range []*browser{one, two, other} {
			b.signIn()
		}
		first, second := one.cookies[name].Value, two.cookies[name].Value
		both := strings.Join([]string{name + "=" + first, name + "=garbage", name + "=" + second, name + "=" + first}, "; ")
		w.store.failOn("end")
		_, err := w.oidc.Logout(request(t.Context(), inSession(both)))
		checkFailure(t, err)
		w.store.failOn()
		out, err := w.oidc.Logout(request(t.Context(), inSession(both)))
		if err != nil || out.User != "alice" || len(out.Cookies) != 1 || out.Cookies[0].MaxAge >= 0 || !strings.Contains(out.EndSessionURL, "id_token_hint") {
			t.Errorf("%+v (%v)", out, err)
		}
		one.checkUser(refused)
		two.checkUser(refused)
		other.checkUser(aliceCookie)
	})
}

// A reported sign-out must be real.
func TestLogoutDuringStoreOutageKeepsCookieAndSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		asked := len(w.idp.asked())
		w.store.failOn("end")
		out, err := b.logout()
		checkFailure(t, err)
		if out.Cookies != nil || out.EndSessionURL != "" || len(w.idp.asked()) != asked {
			t.Errorf("%+v", out)
		}
		w.store.failOn()
		b.checkUser(aliceCookie)
		if _, err := b.logout(); err != nil {
			t.Error(err)
		}
	})
}

func TestLogoutDuringProviderOutageEndsSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		thief := b.copied()
		w.restart() // a fresh replica
		w.idp.serve(discovery, after(time.Hour, text("")))
		out, err := b.logout()
		if err != nil || out.EndSessionURL != "" || out.User != "alice" || len(b.cookies) != 0 {
			t.Errorf("%+v (%v)", out, err)
		}
		thief.checkUser(refused)
	})
}
