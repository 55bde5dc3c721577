package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth"
	"dropgate/internal/auth/session"
)

func TestSessionCookieIsHostBoundWithoutMaxAge(t *testing.T) {
	for _, sameSite := range []http.SameSite{http.SameSiteStrictMode, http.SameSiteLaxMode, http.SameSiteNoneMode} {
		checkSessionCookie(t, origin, http.Cookie{Name: "__Host-dropgate-session", Secure: true, SameSite: sameSite})
	}
}

func TestSessionCookieOnPlainLocalhostLacksPrefix(t *testing.T) {
	checkSessionCookie(t, "http://localhost:8080", http.Cookie{Name: "dropgate-session", SameSite: http.SameSiteStrictMode})
}

// checkSessionCookie signs in and out, and checks both cookies.
func checkSessionCookie(t *testing.T, origin string, want http.Cookie) {
	t.Helper()
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.origin = origin
		login := b.signIn()
		got := b.cookies[want.Name]
		if got == nil || len(b.cookies) != 1 || login.User != "alice" || login.URL != origin+"/" {
			t.Fatalf("cookies %v, %+v", b.cookies, login)
		}
		want.Path, want.HttpOnly, want.Value = "/", true, got.Value
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Error(diff)
		}
		if _, ok := session.KeyOf(got.Value); !ok {
			t.Error("the cookie holds no session id")
		}
		b.checkUser(aliceCookie)
		logout, err := b.logout()
		want.Value, want.MaxAge = "", -1
		if diff := cmp.Diff([]*http.Cookie{&want}, logout.Cookies); diff != "" || err != nil {
			t.Errorf("deleted: %s (%v)", diff, err)
		}
	}, func(o *auth.OIDCConfig) { o.Origin, o.SameSite = origin, want.SameSite })
}

func TestSignInReturnsToAbsoluteURL(t *testing.T) {
	for returnTo, want := range map[string]string{
		"":                              origin + "/",
		"/cart?a=b&c=%2F#x":             origin + "/cart?a=b&c=%2F#x",
		origin + "/cart":                origin + "/cart",
		"https://shop.example.com":      "https://shop.example.com/",
		"https://shop.example.com/cart": "https://shop.example.com/cart",
	} {
		withOIDC(t, func(t *testing.T, w *oidcHarness) {
			b := w.browser(t)
			login, err := b.callback(w.op.authorize(b.begin(returnTo)))
			if err != nil || login.URL != want || login.User != "alice" {
				t.Errorf("%q: %+v (%v), want %s", returnTo, login, err, want)
			}
		})
	}
}

// An id known before the sign-in must be worthless after it.
func TestSignInReplacesSessionAndID(t *testing.T) {
	for name, sameSite := range map[string]http.SameSite{"strict": http.SameSiteStrictMode, "lax": http.SameSiteLaxMode} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				b := w.browser(t)
				seen := map[string]bool{}
				for range 5 {
					before := b.copied()
					b.signIn()
					id := b.cookies["__Host-dropgate-session"].Value
					if seen[id] {
						t.Fatal("an id again")
					}
					seen[id] = true
					b.checkUser(aliceCookie)
					if len(seen) > 1 {
						before.checkUser(refused)
					}
				}
			}, func(c *auth.OIDCConfig) { c.SameSite = sameSite })
		})
	}
}

func TestSignInAsOtherUserEndsOneSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b, elsewhere := w.browser(t), w.browser(t)
		elsewhere.signIn()
		b.signIn()
		before := b.copied()
		w.op.answers(object{"sub": "bob"})
		b.signIn()
		b.checkUser("accepted bob by cookie")
		before.checkUser(refused)
		elsewhere.checkUser(aliceCookie)
	})
}

// The previous session must survive.
func TestFailedSignInKeepsSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		w.op.answers(object{"aud": "another"})
		b.checkSignInFails("id_token_invalid")
		b.checkUser(aliceCookie)
	})
}

func TestSignInIgnoresPlantedSessionID(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		planted := session.NewID().Reveal()
		b.cookies["__Host-dropgate-session"] = &http.Cookie{Name: "__Host-dropgate-session", Value: planted}
		mallory := b.copied()
		b.signIn()
		mallory.checkUser(refused)
		b.checkUser(aliceCookie)
	})
}

func TestOnlyWritingRequestsExtendSession(t *testing.T) {
	for method, extends := range map[string]bool{
		http.MethodGet: false, http.MethodHead: false, http.MethodPost: true, http.MethodPut: true, http.MethodDelete: true,
	} {
		t.Run(method, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				b := w.browser(t)
				b.signIn()
				advance(10 * time.Minute)
				s, err := w.oidc.Authenticate(b.request(method, "/", false), nil)
				want := midnight.Add(idleTime)
				if extends {
					want = midnight.Add(10*time.Minute + idleTime)
				}
				if err != nil || !s.Expires.Equal(want) || s.Mode != "oidc" || !s.ByCookie || s.User.Claims["sub"] != "alice" {
					t.Errorf("%+v (%v), want it to end at %v", s, err, want)
				}
				advance(time.Until(want) - time.Second)
				b.checkUser(aliceCookie)
				advance(time.Second)
				b.checkUser(refused)
			})
		})
	}
}

func TestSessionLifetimeIsFixed(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		for time.Since(midnight) < lifetime {
			if got := b.who(http.MethodPost); got != aliceCookie {
				t.Fatalf("after %v: %s", time.Since(midnight), got)
			}
			advance(10 * time.Minute)
		}
		b.checkUser(refused)
	})
}

func TestSessionStoreOutageIsUnavailable(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		w.store.failOn("find")
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			s, err := w.oidc.Authenticate(b.request(method, "/", false), nil)
			checkFailure(t, err)
			b.checkNoSecret(err)
			if s.User.ID != "" {
				t.Errorf("%+v", s)
			}
		}
		w.store.failOn()
		b.checkUser(aliceCookie)
	})
}

func TestCancelledRequestEndsNoSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if _, err := w.oidc.Authenticate(canceled(b.request(method, "/", false)), nil); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want context.Canceled", err)
			}
		}
		if out, err := w.oidc.Logout(canceled(b.request(http.MethodPost, "/", false))); !errors.Is(err, context.Canceled) || out.Cookies != nil {
			t.Errorf("logout: %+v, %v, want context.Canceled and the cookie kept", out, err)
		}
		b.checkUser(aliceCookie)
	})
}

func TestSessionBelongsToItsUserOnly(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		first, second := w.browser(t), w.browser(t)
		first.signIn()
		w.op.answers(object{"sub": "bob", "sid": "bobs"})
		second.signIn()
		first.checkUser(aliceCookie)
		second.checkUser("accepted bob by cookie")
	})
}

func TestSessionCookieMustBeExactID(t *testing.T) {
	const name = "__Host-dropgate-session"
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		id := b.cookies[name].Value
		for what, header := range map[string]string{
			"cut":                name + "=" + id[:42],
			"longer":             name + "=" + id + "A",
			"padded":             name + "=" + id + "=",
			"another last bit":   name + "=" + id[:42] + spelledOtherwise(id[42]),
			"twice":              name + "=" + id + "; " + name + "=" + id,
			"twice, one garbage": name + "=" + id + "; " + name + "=x",
			"8 KiB":              name + "=" + strings.Repeat(id, 190),
			"empty":              name + "=",
			"another's":          name + "=" + session.NewID().Reveal(),
			"lower case":         name + "=" + strings.ToLower(id),
		} {
			r := request(t.Context(), inSession(header))
			s, err := w.oidc.Authenticate(r, nil)
			if got := verdict(s, err); got != refused {
				t.Errorf("%s: %s", what, got)
			}
			b.checkNoSecret(err)
			checkRejection(t, err, r.Header)
		}
		b.checkUser(aliceCookie)
	})
}

// spelledOtherwise changes only unused bits: the last of 43 characters has two.
func spelledOtherwise(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)|1])
}
