package auth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/auth"
)

func TestTabsCompleteSignInsInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}} {
		withOIDC(t, func(t *testing.T, w *oidcHarness) {
			b := w.browser(t)
			var tabs []url.Values
			for _, page := range []string{"/0", "/1", "/2"} {
				tabs = append(tabs, w.op.authorize(b.begin(page)))
			}
			for _, i := range order {
				login, err := b.callback(tabs[i])
				if want := origin + "/" + string(rune('0'+i)); err != nil || login.URL != want {
					t.Errorf("tab %d: %s (%v), want %s", i, login.URL, err, want)
				}
			}
			if len(b.logins()) != 0 {
				t.Errorf("cookies are left: %q", b.logins())
			}
		})
	}
}

func TestBrowserKeepsFiveNewestSignIns(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		var tabs []url.Values
		for i := range 8 {
			tabs = append(tabs, w.op.authorize(b.begin("")))
			if n := len(b.logins()); n != min(i+1, 5) {
				t.Errorf("%d cookies after %d sign-ins", n, i+1)
			}
			advance(time.Second)
		}
		for i, query := range tabs {
			_, err := b.callback(query)
			if i < 3 {
				checkProtocol(t, err, "state_unknown")
			} else if err != nil {
				t.Errorf("sign-in %d: %v", i, err)
			}
		}
	})
}

// beginAtOnce starts sign-ins without each other's cookies. It returns the
// callbacks with surviving cookies: the last one per name.
func (b *browser) beginAtOnce(n int) map[string]url.Values {
	b.t.Helper()
	before, answers := b.copied(), map[string]url.Values{}
	for range n {
		tab := before.copied()
		answer := b.w.op.authorize(tab.begin("/" + strings.Repeat("x", 400)))
		name := tab.logins()[0]
		b.cookies[name], answers[name] = tab.cookies[name], answer
	}
	return answers
}

// Concurrent requests lack each other's cookies. The browser must still keep no
// more than fits into a request. The kept ones work, and the next sign-in cleans
// up.
func TestConcurrentSignInsLeaveFewCookies(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		queries := b.beginAtOnce(40)
		if n := len(b.logins()); n > 8 || n < 6 {
			t.Errorf("%d cookies", n)
		}
		if size := len(b.request(http.MethodGet, "/", true).Header.Get("Cookie")); size > 10<<10 {
			t.Errorf("cookies of %d bytes", size)
		}
		full := b.copied()
		for _, query := range queries {
			if _, err := full.callback(query); err != nil {
				t.Error(err)
			}
		}
		advance(time.Second)
		query := w.op.authorize(b.begin(""))
		if n := len(b.logins()); n != 5 {
			t.Errorf("%d cookies after one more", n)
		}
		if _, err := b.callback(query); err != nil {
			t.Error(err)
		}
	})
}

func TestExpiredLoginCookiesAreDeleted(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.begin("")
		old := b.logins()[0]
		value := b.cookies[old].Value
		b.ends = map[string]time.Time{} // ignores Max-Age
		advance(10 * time.Minute)
		for _, garbage := range []string{"garbage", "empty", "cut"} {
			name := "__Host-dropgate-login-" + garbage
			b.cookies[name] = &http.Cookie{Name: name, Value: b.cookies[old].Value[:len(garbage)*8-24]}
		}
		b.cookies["other-login-a"] = &http.Cookie{Name: "other-login-a", Value: "of the application"}
		b.begin("")
		if names := b.logins(); len(names) != 2 || b.cookies["other-login-a"] == nil || b.cookies[old] != nil && b.cookies[old].Value == value {
			t.Errorf("cookies %q are left, want the new one and the application's", names)
		}
	})
}

// The answer deletes each garbage cookie once.
func TestGarbageLoginCookiesAreDeleted(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.begin("")
		good := b.logins()[0]
		for suffix := range strings.FieldsSeq("a b c d e f g h i j k l m n o p") {
			name := "__Host-dropgate-login-" + suffix
			b.cookies[name] = &http.Cookie{Name: name, Value: "x"}
		}
		b.begin("")
		if names := b.logins(); len(names) != 2 || b.cookies[good] == nil {
			t.Errorf("%q, want the good one and the new one", names)
		}
	})
}

// Otherwise an attacker could sign the victim in as the attacker.
func TestCallbackRefusesAnotherBrowsersSignIn(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		mallory, victim := w.browser(t), w.browser(t)
		query := w.op.authorize(mallory.begin(""))
		own := w.op.authorize(victim.begin(""))
		login, err := victim.callback(query)
		checkProtocol(t, err, "state_unknown")
		if login.Cookies != nil {
			t.Errorf("cookies %v", login.Cookies)
		}
		mixed := url.Values{"state": own["state"], "code": query["code"], "iss": {issuer}}
		_, err = victim.callback(mixed) // PKCE refuses the other code
		checkProtocol(t, err, "code_refused")
		if _, err := mallory.callback(query); err != nil {
			t.Error(err)
		}
	})
}

// PKCE is not the only defense.
func TestNonceRefusesCodeFromAnotherSignIn(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		first, second := b.begin(""), b.begin("")
		query, other := w.op.authorize(first), w.op.authorize(second)
		granted := w.op.grants[other.Get("code")]
		granted.challenge = first.Query().Get("code_challenge") // a provider without PKCE
		query["code"] = other["code"]
		_, err := b.callback(query)
		checkProtocol(t, err, "nonce_mismatch")
	})
}

func TestLoginCookieNeedsItsNameAndSecret(t *testing.T) {
	for name, change := range map[string]func(*oidcHarness, *browser, *browser){
		"of another attempt": func(_ *oidcHarness, b, other *browser) {
			b.cookies[b.logins()[0]].Value = other.cookies[other.logins()[0]].Value // under another name
		},
		"of another secret": func(w *oidcHarness, _, _ *browser) {
			w.oidc = w.replica(newRegistry(), func(c *auth.OIDCConfig) { c.ClientSecret = secret("another") })
		},
		"changed": func(_ *oidcHarness, b, _ *browser) {
			c := b.cookies[b.logins()[0]]
			c.Value = c.Value[:60] + flipped(c.Value[60]) + c.Value[61:]
		},
		"cut":     func(_ *oidcHarness, b, _ *browser) { c := b.cookies[b.logins()[0]]; c.Value = c.Value[:len(c.Value)-4] },
		"short":   func(_ *oidcHarness, b, _ *browser) { b.cookies[b.logins()[0]].Value = "AAAA" },
		"garbage": func(_ *oidcHarness, b, _ *browser) { b.cookies[b.logins()[0]].Value = "gar*bage" },
		"empty":   func(_ *oidcHarness, b, _ *browser) { b.cookies[b.logins()[0]].Value = "" },
		"8 KiB":   func(_ *oidcHarness, b, _ *browser) { b.cookies[b.logins()[0]].Value = strings.Repeat("A", 8<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				b := w.browser(t)
				query := w.op.authorize(b.begin(""))
				other := b.copied() // next to b's sign-in it gets another name
				other.begin("")
				delete(other.cookies, b.logins()[0])
				change(w, b, other)
				_, err := b.callback(query)
				checkProtocol(t, err, "state_expired")
				if asked := w.store.asked(); asked != "" {
					t.Errorf("the store was asked to %s", asked)
				}
			})
		})
	}
}

func flipped(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestSignInExpiresAfterTenMinutes(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		10*time.Minute - time.Second: "",
		10 * time.Minute:             "state_expired",
		time.Hour:                    "state_expired",
	} {
		withOIDC(t, func(t *testing.T, w *oidcHarness) {
			b := w.browser(t)
			query := w.op.authorize(b.begin(""))
			b.ends = map[string]time.Time{} // ignores Max-Age
			advance(wait)
			_, err := b.callback(query)
			if want == "" && err != nil {
				t.Errorf("after %v: %v", wait, err)
			} else if want != "" {
				checkProtocol(t, err, want)
			}
		})
	}
}

// The attacker has the cookies and the callback's URL, and the provider accepts a
// code twice.
func TestReplayedCallbackStartsNoSecondSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.acceptsCodesTwice()
		b := w.browser(t)
		query := w.op.authorize(b.begin("/page"))
		thief := b.copied()
		if _, err := b.callback(query); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			again := thief.copied()
			login, err := again.callback(query)
			checkProtocol(t, err, "state_used")
			if login.ReturnTo != "/page" || len(again.logins()) != 0 {
				t.Errorf("return to %q, cookies %q", login.ReturnTo, again.logins())
			}
			w.oidc = w.replica(newRegistry()) // another replica
		}
		b.checkUser(aliceCookie)
	})
}

func TestConcurrentReplaysStartOneSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.acceptsCodesTwice()
		b := w.browser(t)
		r := b.landed(w.op.authorize(b.begin("")))
		results := make(chan error, 50)
		for range cap(results) {
			go func() {
				_, err := w.oidc.Complete(r.Clone(t.Context()))
				results <- err
			}()
		}
		synctest.Wait()
		started := 0
		for range cap(results) {
			if err := <-results; err == nil {
				started++
			} else {
				checkProtocol(t, err, "state_used")
			}
		}
		if started != 1 {
			t.Errorf("%d sessions", started)
		}
	})
}

func TestProviderRefusesReusedCode(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		thief := b.copied()
		if _, err := b.callback(query); err != nil {
			t.Fatal(err)
		}
		_, err := thief.callback(query)
		checkProtocol(t, err, "code_refused")
		if len(thief.logins()) != 0 {
			t.Error("the login cookie is kept")
		}
		b.checkUser(aliceCookie)
	})
}
