package auth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
)

const replacement = "sid=the-next-session-of-alice; Path=/; HttpOnly; Partitioned"

// returning lets the cookie sid go back to the browser.
func returning(f *auth.ForwardConfig) { f.SetCookies = []string{"sid"} }

// setting answers like next, with these cookies.
func setting(next http.HandlerFunc, cookies ...string) page {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = cookies
		next(w, r)
	}
}

// replaceOnce replaces alice's cookie at its first use and then refuses it.
func replaceOnce() page {
	var used sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		answer := status(http.StatusUnauthorized)
		used.Do(func() {
			answer = after(time.Second, http.HandlerFunc(setting(document(object{"sub": "alice"}), replacement)))
		})
		answer(w, r)
	}
}

// All requests were sent with the cookie that the first of them replaced.
func TestReplacedCookieReachesAllWaitingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(replaceOnce())
		forward := forwardMode(app, returning)
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				session, err := forward.Authenticate(request(t.Context(), inSession(appSession)), nil)
				if got := verdict(session, err); got != aliceCookie || !slices.Equal(session.SetCookies, []string{replacement}) {
					t.Errorf("%s with the cookies %q", got, session.SetCookies)
				}
			})
		}
		all.Wait()
		late, err := forward.Authenticate(request(t.Context(), inSession(appSession)), nil)
		if got := verdict(late, err); got != aliceCookie || late.SetCookies != nil || app.calls() != 1 {
			t.Errorf("from the cache: %s with the cookies %q after %d calls", got, late.SetCookies, app.calls())
		}
	})
}

func TestOnlyListedCookiesGoBack(t *testing.T) {
	user := document(object{"sub": "alice"})
	for name, c := range map[string]struct {
		answer page
		want   []string
	}{
		"the listed one":            {setting(user, "track=1", replacement, "SID=2", "sid2=3", "xsid=4"), []string{replacement}},
		"a deletion":                {setting(user, "sid=; Max-Age=0"), []string{"sid=; Max-Age=0"}},
		"none":                      {setting(user), nil},
		"no cookies at all":         {setting(user, "", "sid", "=sid", "; sid=1", "track=1; sid=2"), nil},
		"with a 401":                {setting(status(http.StatusUnauthorized), replacement), nil},
		"with null":                 {setting(text("null"), replacement), nil},
		"with an outage":            {setting(status(http.StatusInternalServerError), replacement), nil},
		"with an answer of no user": {setting(text("{}"), replacement), nil},
	} {
		runSynctest(t, name, func(t *testing.T) {
			app := newApplication()
			app.answers(c.answer)
			session, _ := forwardMode(app, returning).Authenticate(request(t.Context(), inSession(appSession)), nil)
			if !slices.Equal(session.SetCookies, c.want) {
				t.Errorf("cookies %q, want %q", session.SetCookies, c.want)
			}
		})
	}
}

func TestTooManyCookiesSetNone(t *testing.T) {
	const most, mostBytes = 8, 6 << 10
	var many []string
	for n := range most + 1 {
		many = append(many, fmt.Sprintf("sid=secret-%d", n))
	}
	for name, c := range map[string]struct {
		cookies []string
		kept    int
	}{
		"eight":           {many[:most], most},
		"nine":            {many, 0},
		"6 KiB":           {[]string{"sid=" + strings.Repeat("s", mostBytes-len("sid="))}, 1},
		"more than 6 KiB": {[]string{"sid=secret-1", "sid=" + strings.Repeat("s", mostBytes-len("sid="))}, 0},
	} {
		runSynctest(t, name, func(t *testing.T) {
			app := newApplication()
			app.answers(setting(document(object{"sub": "alice"}), c.cookies...))
			var log strings.Builder
			forward := forwardMode(app, returning, func(f *auth.ForwardConfig) { f.Cache, f.Logger = 0, zerolog.New(&log) })
			for range 2 {
				session, err := forward.Authenticate(request(t.Context(), inSession(appSession)), nil)
				if got := verdict(session, err); got != aliceCookie || len(session.SetCookies) != c.kept {
					t.Errorf("%s with %d cookies, want %d", got, len(session.SetCookies), c.kept)
				}
			}
			warnings := map[bool]int{true: 0, false: 1}[c.kept > 0]
			if strings.Count(log.String(), "AUTH_FORWARD_SET_COOKIE") != warnings || strings.Contains(log.String(), "secret") {
				t.Errorf("the log is %q, want %d warnings without a value", log.String(), warnings)
			}
		})
	}
}

func TestCookiesBesideAnotherModeStayBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(setting(document(object{"sub": "alice"}), replacement))
		chain := auth.NewChain(prometheus.NewRegistry(), &fakeMode{name: "first", user: "alice"}, forwardMode(app, returning))
		session, err := chain.Authenticate(request(t.Context(), inSession(appSession)), nil)
		if err != nil || session.SetCookies != nil || app.calls() != 1 {
			t.Errorf("cookies %q after %d calls, %v", session.SetCookies, app.calls(), err)
		}
	})
}
