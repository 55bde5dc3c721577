package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// answerUserCookie is an application with users by cookie: app=bob is bob's. It
// also reads Basic credentials, and prefers cookies.
func answerUserCookie(w http.ResponseWriter, r *http.Request) {
	user, _, _ := r.BasicAuth()
	if c, err := r.Cookie("app"); err == nil {
		user = c.Value
	}
	if user == "" || user == "nobody" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	document(object{"sub": user})(w, r)
}

func withCookies(header http.Header, cookies ...string) http.Header {
	header = header.Clone()
	header["Cookie"] = cookies
	return header
}

// The credentials are readable only by the application.
func TestChainRefusesApplicationSessionOfAnotherUser(t *testing.T) {
	token := bearer(goodToken()) // of alice
	for name, c := range map[string]struct {
		header http.Header
		want   string
		calls  int
	}{
		"the same user":                     {withCookies(token, "app=alice"), alice, 1},
		"a different user":                  {withCookies(token, "app=bob"), refused, 1},
		"in a second header":                {withCookies(token, "theme=dark", "app=bob"), refused, 1},
		"behind ours":                       {withCookies(token, "__Host-dropgate-session="+staleID+";app=bob"), refused, 1},
		"before ours, without a space":      {withCookies(token, "app=bob;"+cookie+"="+goodToken()), refused, 1},
		"with a cookie that Go cannot read": {withCookies(token, "b\"ad=\x01; app=bob"), refused, 1},
		"beside a token in a cookie":        {inSession(cookie + "=" + goodToken() + "; app=bob"), refused, 1},
		"nobody":                            {withCookies(token, "app=nobody"), alice, 1},
		"somebody's statistics":             {withCookies(token, "_ga=GA1.2.3; theme=dark"), alice, 1},
		"our cookies alone":                 {withCookies(token, "__Host-dropgate-session="+staleID+"; __Host-dropgate-login-a=b", cookie+"="+goodToken()), alice, 0},
		"no cookie in the header":           {withCookies(token, " ; ;"), alice, 0},
		"another scheme in a second header": {http.Header{"Authorization": {"Bearer " + goodToken(), "Basic Ym9iOg=="}}, refused, 0},
		"a cookie that begins as ours":      {withCookies(token, "__Host-dropgate-sessions=x; app=bob"), refused, 1},
		"a cookie of the other spelling":    {withCookies(token, "dropgate-session=x; app=bob"), refused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				app := newApplication()
				app.answers(page(answerUserCookie))
				bearers := newHarness(newIDP(published()...))
				bearers.run(t)
				chain := auth.NewChain(prometheus.NewRegistry(), bearers.bearer, w.oidc, forwardMode(app))
				if got := verdict(chain.Authenticate(request(t.Context(), c.header), nil)); got != c.want || app.calls() != c.calls {
					t.Errorf("%s after %d calls, want %s after %d", got, app.calls(), c.want, c.calls)
				}
				if slices.ContainsFunc(app.asked, func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }) {
					t.Error("the application was sent the token")
				}
			})
		})
	}
}

// A cookie must not hide the header.
func TestChainChecksApplicationHeaderBesideSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn() // alice
		app := newApplication()
		app.answers(page(answerUserCookie))
		chain := auth.NewChain(prometheus.NewRegistry(), w.oidc, forwardMode(app))
		for name, c := range map[string]struct{ user, cookie, want string }{
			"the same user":                {"alice", "", aliceCookie},
			"a different user":             {"bob", "", refused},
			"behind a cookie of the same":  {"bob", "app=alice", refused},
			"a cookie behind a bad header": {"nobody", "app=bob", refused},
			"nobody in both":               {"nobody", "app=nobody", aliceCookie},
		} {
			r := b.request(http.MethodPost, "/client-tokens", false)
			r.SetBasicAuth(c.user, "")
			if c.cookie != "" {
				r.Header.Add("Cookie", c.cookie)
			}
			if got := verdict(chain.Authenticate(r, nil)); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
	})
}

func TestChainComparesCanonicalUserIDs(t *testing.T) {
	app := newApplication()
	app.answers(page(text(`{"email":"ALICE@example.com"}`)))
	first := &fakeMode{name: "first", user: "alice@example.com"}
	chain := auth.NewChain(prometheus.NewRegistry(), first, forwardMode(app, func(f *auth.ForwardConfig) { f.UserClaim = "email" })).
		CompareUserIDs(clienttoken.UserIDs{Emails: true})
	if _, err := chain.Authenticate(request(t.Context(), inSession(appSession)), nil); err != nil {
		t.Error(err)
	}
}

// Refusals are cached as well.
func TestChainCachesAnswersAboutOtherCredentials(t *testing.T) {
	for _, user := range []string{"alice", "bob", "nobody"} {
		runSynctest(t, user, func(t *testing.T) {
			app := newApplication()
			app.answers(page(answerUserCookie))
			forward := forwardMode(app)
			chain := auth.NewChain(prometheus.NewRegistry(), &fakeMode{name: "first", user: "alice"}, forward)
			header := inSession("app=" + user)
			if good := countAccepted(chain, header); good != map[string]int{"alice": 20, "nobody": 20}[user] {
				t.Errorf("%d of 20 passed", good)
			}
			if app.calls() != 1 {
				t.Errorf("%d calls, want 1", app.calls())
			}
			app.answers(page(document(object{"sub": "carol"})))
			advance(10 * time.Second)
			_, err := chain.Authenticate(request(t.Context(), header), nil)
			if err == nil || app.calls() != 2 {
				t.Errorf("later, after %d calls: %v", app.calls(), err)
			}
		})
	}
}

// countAccepted returns the accepted ones out of 20 requests.
func countAccepted(chain *auth.Chain, header http.Header) (good int) {
	for range 20 {
		if _, err := chain.Authenticate(request(context.Background(), header), nil); err == nil {
			good++
		}
	}
	return good
}

// The sign-in happens at the application.
func TestCachedRefusalDoesNotDelaySignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(page(answerUserCookie))
		forward := forwardMode(app)
		chain := auth.NewChain(prometheus.NewRegistry(), &fakeMode{name: "first", user: "alice"}, forward)
		header := inSession("app=nobody")
		if _, err := chain.Authenticate(request(t.Context(), header), nil); err != nil {
			t.Error(err)
		}
		app.answers(page(document(object{"sub": "carol"})))
		if got := verdict(forward.Authenticate(request(t.Context(), header), nil)); got != "accepted carol by cookie" {
			t.Error(got)
		}
		if _, err := chain.Authenticate(request(t.Context(), header), nil); err == nil {
			t.Error("carol's cookie passes beside alice, though it is known")
		}
	})
}

func TestChainReportsOutageWhileApplicationIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(page(status(http.StatusServiceUnavailable)))
		chain := auth.NewChain(prometheus.NewRegistry(), &fakeMode{name: "first", user: "alice"}, forwardMode(app))
		if got := verdict(chain.Authenticate(request(t.Context(), inSession(appSession)), nil)); got != unavailable {
			t.Error(got)
		}
		if got := verdict(chain.Authenticate(request(t.Context(), http.Header{}), nil)); got != alice {
			t.Errorf("without cookies: %s", got)
		}
	})
}

// The cookies differ each time.
func TestLimitedUserCausesNoFurtherChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, l := newApplication(), limiter(0, 9)
		app.answers(page(answerUserCookie))
		chain := auth.NewChain(prometheus.NewRegistry(), &fakeMode{name: "first", user: "alice"}, forwardMode(app))
		for n := range 50 {
			charge := l.Charge("192.0.2.1")
			r := request(t.Context(), inSession(fmt.Sprint("junk=", n)))
			session, err := chain.Authenticate(r, &charge)
			if _, limited := errors.AsType[*ratelimit.ExceededError](err); limited != (n >= 9) || session.User.ID != "alice" {
				t.Errorf("request %d: %q, %v", n, session.User.ID, err)
			}
		}
		if app.calls() != 9 {
			t.Errorf("%d calls, want 9", app.calls())
		}
		// The check must not charge bob.
		bob := l.Charge("192.0.2.1")
		if err := bob.Pay(t.Context(), "bob"); err != nil {
			t.Error(err)
		}
	})
}
