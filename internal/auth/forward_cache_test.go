package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

// timedRequest is one request of a test, some time after the start.
type timedRequest struct {
	at   time.Duration
	want string
	call int // calls of the application so far
}

// askAll makes the same request at each time, after the event before it.
func askAll(t *testing.T, app *application, forward *auth.Forward, requests []timedRequest) {
	t.Helper()
	for _, q := range requests {
		<-time.After(q.at - time.Since(midnight))
		got := verdict(forward.Authenticate(request(t.Context(), inSession(appSession)), nil))
		if got != q.want || app.calls() != q.call {
			t.Errorf("at %v: %s after %d calls, want %s after %d", q.at, got, app.calls(), q.want, q.call)
		}
	}
}

func TestForwardCachesUserForConfiguredTime(t *testing.T) {
	for _, c := range []struct {
		name     string
		cache    time.Duration
		requests []timedRequest
	}{
		{"10 s", 10 * time.Second, []timedRequest{
			{0, aliceCookie, 1},
			{9990 * time.Millisecond, aliceCookie, 1},
			{10*time.Second - 1, aliceCookie, 1},
			{10 * time.Second, aliceCookie, 2},
			{19990 * time.Millisecond, aliceCookie, 2},
			{20 * time.Second, aliceCookie, 3},
		}},
		{"1 ms", time.Millisecond, []timedRequest{{0, aliceCookie, 1}, {time.Millisecond - 1, aliceCookie, 1}, {time.Millisecond, aliceCookie, 2}}},
		{"5 min", 5 * time.Minute, []timedRequest{{0, aliceCookie, 1}, {5*time.Minute - 1, aliceCookie, 1}, {5 * time.Minute, aliceCookie, 2}}},
		{"nothing", 0, []timedRequest{{0, aliceCookie, 1}, {0, aliceCookie, 2}, {1, aliceCookie, 3}}},
		{"less than nothing", -time.Second, []timedRequest{{0, aliceCookie, 1}, {0, aliceCookie, 2}}},
	} {
		runSynctest(t, c.name, func(t *testing.T) {
			app := newApplication()
			askAll(t, app, forwardMode(app, func(f *auth.ForwardConfig) { f.Cache = c.cache }), c.requests)
		})
	}
}

// The answer may already be outdated on arrival.
func TestForwardCacheTimeStartsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(page(after(4*time.Second, document(object{"sub": "alice"}))))
		askAll(t, app, forwardMode(app), []timedRequest{
			{0, aliceCookie, 1}, // answered at 4 s
			{9990 * time.Millisecond, aliceCookie, 1},
			{10 * time.Second, aliceCookie, 2},
		})
	})
}

func TestApplicationSignOutTakesEffectAfterCacheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		forward := forwardMode(app)
		askAll(t, app, forward, []timedRequest{{0, aliceCookie, 1}})
		app.signOut()
		askAll(t, app, forward, []timedRequest{ // use does not extend the cache time
			{1 * time.Second, aliceCookie, 1},
			{5 * time.Second, aliceCookie, 1},
			{9990 * time.Millisecond, aliceCookie, 1},
			{10 * time.Second, refused, 2},
			{11 * time.Second, refused, 3},
		})
		app.signIn()
		askAll(t, app, forward, []timedRequest{{11 * time.Second, aliceCookie, 4}})
	})
}

func TestOutageDoesNotExtendForwardCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		forward := forwardMode(app)
		askAll(t, app, forward, []timedRequest{{0, aliceCookie, 1}})
		app.answers(page(status(http.StatusInternalServerError)))
		askAll(t, app, forward, []timedRequest{{9 * time.Second, aliceCookie, 1}, {10 * time.Second, unavailable, 2}})
	})
}

// similarCredentials returns different credentials with similar text.
func similarCredentials() []http.Header {
	both := func(authorization, cookie string) http.Header {
		return http.Header{"Authorization": {authorization}, "Cookie": {cookie}}
	}
	return []http.Header{
		{"Cookie": {"a=1"}},
		{"Cookie": {"a=2"}},
		{"Cookie": {"A=1"}},
		{"Cookie": {"a=1 "}},
		{"Cookie": {"a=1;"}},
		{"Cookie": {"a=1; b=2"}},
		{"Cookie": {"b=2; a=1"}},
		{"Cookie": {"a=1", "b=2"}},
		{"Cookie": {"b=2", "a=1"}},
		{"Cookie": {"a=1; ", "b=2"}},
		{"Cookie": {"a=1", "; b=2"}},
		{"Cookie": {"a=1", ""}},
		{"Cookie": {"", "a=1"}},
		{"Cookie": {""}},
		{"Cookie": {"", ""}},
		{"Authorization": {"a=1"}},
		{"Authorization": {"a=1", "b=2"}},
		{"Authorization": {"a=1; b=2"}},
		{"Authorization": {""}},
		both("a=1", "b=2"),
		both("b=2", "a=1"),
		both("a=1b", "=2"),
		both("a=", "1b=2"),
		both("", "a=1"),
		both("a=1", ""),
		both("a=1b=2", ""),
		{"Authorization": {"a=1"}, "Cookie": {"b=2", "c=3"}},
		{"Authorization": {"a=1", "b=2"}, "Cookie": {"c=3"}},
		{"Authorization": {"a=1", "b=2", "c=3"}},
		{"Cookie": {"a=1", "b=2", "c=3"}},
		{"Cookie": {"a\x00", "b"}},
		{"Cookie": {"a", "\x00b"}},
		{"Cookie": {"\x00\x00\x00\x01a"}},
		{"Cookie": {"", "a"}},
		{"Cookie": {"\x00\x00\x00\x00\x00\x00\x00\x01a"}},
	}
}

// describeCredentials is unique for each of similarCredentials.
func describeCredentials(h http.Header) string {
	return fmt.Sprintf("%q and %q", h["Authorization"], h["Cookie"])
}

// echo answers with the credentials as the user id, after a delay.
func echo(w http.ResponseWriter, r *http.Request) {
	after(time.Second, document(object{"sub": describeCredentials(r.Header)}))(w, r)
}

func TestForwardKeepsSimilarCredentialsApart(t *testing.T) {
	ask := func(t *testing.T, forward *auth.Forward, header http.Header) {
		t.Helper()
		session, err := forward.Authenticate(request(t.Context(), header), nil)
		if err != nil || session.User.ID != describeCredentials(header) || session.ByCookie != (header["Cookie"] != nil) {
			t.Errorf("%+v (%v) for %s", session, err, describeCredentials(header))
		}
	}
	runSynctest(t, "one after the other", func(t *testing.T) {
		app := newApplication()
		app.answers(page(echo))
		forward := forwardMode(app, func(f *auth.ForwardConfig) { f.Cache = time.Hour })
		for range 2 {
			for _, header := range similarCredentials() {
				ask(t, forward, header)
			}
		}
		if app.calls() != len(similarCredentials()) {
			t.Errorf("%d calls for %d credentials", app.calls(), len(similarCredentials()))
		}
	})
	runSynctest(t, "at the same time", func(t *testing.T) {
		app := newApplication()
		app.answers(page(echo))
		forward := forwardMode(app)
		var askers sync.WaitGroup
		for _, header := range append(similarCredentials(), similarCredentials()...) {
			askers.Go(func() { ask(t, forward, header) })
		}
		askers.Wait()
		if app.calls() != len(similarCredentials()) {
			t.Errorf("%d calls for %d credentials", app.calls(), len(similarCredentials()))
		}
	})
}

func TestForwardSharesConcurrentCalls(t *testing.T) {
	const askers = 64 // the limit of calls in flight
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		cookie func(int) string
		want   func(int) string
		calls  int
	}{
		{"equal", after(time.Second, document(object{"sub": "alice"})), func(int) string { return appSession }, func(int) string { return aliceCookie }, 1},
		{"equal, without a user", after(time.Second, status(http.StatusUnauthorized)), func(int) string { return appSession }, func(int) string { return refused }, 1},
		{"equal, in an outage", after(time.Hour, nil), func(int) string { return appSession }, func(int) string { return unavailable }, 1},
		{
			"different", echo, func(n int) string { return fmt.Sprint("sid=", n) },
			func(n int) string { return fmt.Sprintf(`accepted [] and ["sid=%d"] by cookie`, n) }, askers,
		},
	} {
		runSynctest(t, c.name, func(t *testing.T) {
			app := newApplication()
			app.answers(page(c.answer))
			chain := auth.NewChain(prometheus.NewRegistry(), forwardMode(app, func(f *auth.ForwardConfig) { f.Cache = 0 }))
			var all sync.WaitGroup
			for n := range askers {
				all.Go(func() {
					if got := verdict(chain.Authenticate(request(t.Context(), inSession(c.cookie(n))), nil)); got != c.want(n) {
						t.Errorf("%s, want %s", got, c.want(n))
					}
				})
			}
			all.Wait()
			if app.calls() != c.calls {
				t.Errorf("%d calls, want %d", app.calls(), c.calls)
			}
		})
	}
}

func TestCancelledCallerDoesNotEndSharedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(page(after(2*time.Second, document(object{"sub": "alice"}))))
		forward := forwardMode(app)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		ask := func(ctx context.Context, want string, took time.Duration) {
			all.Go(func() {
				begin := time.Now()
				session, err := forward.Authenticate(request(ctx, inSession(appSession)), nil)
				if got := verdict(session, err); got != want || time.Since(begin) != took {
					t.Errorf("%s after %v, want %s after %v", got, time.Since(begin), want, took)
				}
			})
		}
		for range 10 { // the first one asks
			ask(ctx, "error: context canceled", time.Second)
		}
		synctest.Wait()
		for range 10 {
			ask(t.Context(), aliceCookie, 2*time.Second)
		}
		advance(time.Second)
		cancel()
		all.Wait()
		ask(t.Context(), aliceCookie, 0) // cached
		all.Wait()
		if app.calls() != 1 {
			t.Errorf("%d calls", app.calls())
		}
	})
}

func TestAbandonedCallServesNextCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(page(after(2*time.Second, document(object{"sub": "alice"}))))
		forward := forwardMode(app)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := forward.Authenticate(request(ctx, inSession(appSession)), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's own error", err)
		}
		advance(time.Second)
		askAll(t, app, forward, []timedRequest{{2 * time.Second, aliceCookie, 1}})
	})
}
