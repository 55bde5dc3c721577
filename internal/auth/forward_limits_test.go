package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/ratelimit"
)

// limiter allows so many requests per hour; 0 means no limit.
func limiter(ip, user int) *ratelimit.Limiter {
	c := ratelimit.Config{Now: time.Now, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry()}
	c.IP, c.User = ratelimit.Limit{N: ip, Window: time.Hour}, ratelimit.Limit{N: user, Window: time.Hour}
	return ratelimit.New(c)
}

// charged authenticates like the handler, with a charge.
func charged(t *testing.T, l *ratelimit.Limiter, mode auth.Mode, cookie string) (auth.Session, error) {
	t.Helper()
	charge := l.Charge("192.0.2.1")
	r := request(t.Context(), inSession(cookie))
	session, err := mode.Authenticate(r, &charge)
	if paid := charge.Pay(r.Context(), session.User.ID); err == nil {
		err = paid
	}
	return session, err
}

func exceeded(err error, scope ratelimit.Scope) bool {
	found, ok := errors.AsType[*ratelimit.ExceededError](err)
	return ok && found.Scope == scope
}

func TestForwardChargesAddressBeforeTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, l := newApplication(), limiter(9, 0)
		forward := forwardMode(app)
		for n := range 50 {
			_, err := charged(t, l, forward, fmt.Sprint("junk=", n))
			if got := verdict(auth.Session{}, err); n < 9 && got != refused || n >= 9 && !exceeded(err, ratelimit.IP) {
				t.Errorf("request %d: %v", n, err)
			}
		}
		if app.calls() != 9 {
			t.Errorf("%d calls, want 9", app.calls())
		}
	})
}

func TestForwardChargesAddressOncePerRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, l := newApplication(), limiter(9, 0)
		forward := forwardMode(app, func(f *auth.ForwardConfig) { f.Cache = 0 })
		for n := range 10 {
			_, err := charged(t, l, forward, appSession)
			if (err == nil) != (n < 9) {
				t.Errorf("request %d: %v", n, err)
			}
		}
	})
}

// Without an address limit and a cache, only the user's limit ends the calls.
func TestLimitedUserCausesNoApplicationCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, l := newApplication(), limiter(0, 9)
		forward := forwardMode(app, func(f *auth.ForwardConfig) { f.Cache = 0 })
		for n := range 100 {
			session, err := charged(t, l, forward, appSession)
			if n < 9 && err != nil || n >= 9 && (!exceeded(err, ratelimit.User) || session.User.ID != "alice") {
				t.Errorf("request %d: %+v, %v", n, session, err)
			}
		}
		if app.calls() != 10 {
			t.Errorf("%d calls, want 9 plus the one that hit the limit", app.calls())
		}
		advance(time.Hour)
		if _, err := charged(t, l, forward, appSession); err != nil || app.calls() != 11 {
			t.Errorf("an hour later: %v after %d calls", err, app.calls())
		}
	})
}

func TestForwardBoundsCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		app := newApplication()
		app.answers(page(func(w http.ResponseWriter, r *http.Request) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			echo(w, r)
		}))
		forward := forwardMode(app)
		counts := map[string]int{}
		var mu sync.Mutex
		var askers sync.WaitGroup
		for n := range 1000 {
			askers.Go(func() {
				_, err := forward.Authenticate(request(t.Context(), inSession(fmt.Sprint("sid=", n))), nil)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					counts["accepted"]++
				} else {
					counts[verdict(auth.Session{}, err)]++
				}
			})
		}
		askers.Wait()
		if most.Load() != 64 || app.calls() < 64 || app.calls() > 256 || counts["accepted"]+counts[unavailable] != 1000 {
			t.Errorf("%d at once, %d in all: %v", most.Load(), app.calls(), counts)
		}
		if time.Since(midnight) > 3*time.Second {
			t.Errorf("the last answer came after %v", time.Since(midnight))
		}
	})
}

func TestForwardCircuitProbesUntilApplicationAnswers(t *testing.T) {
	for name, answer := range map[string]http.RoundTripper{
		"503":       page(status(http.StatusServiceUnavailable)),
		"429":       page(status(http.StatusTooManyRequests)),
		"no answer": roundTripFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }),
	} {
		runSynctest(t, name, func(t *testing.T) {
			app := newApplication()
			forward := forwardMode(app)
			app.answers(answer)
			for range 100 {
				session, err := forward.Authenticate(request(t.Context(), inSession(appSession)), nil)
				checkOutage(t, session, err)
			}
			if app.calls() != 20 {
				t.Errorf("%d calls, want 20", app.calls())
			}
			app.signIn()
			advance(5*time.Second + 1)
			for range 2 {
				if got := verdict(forward.Authenticate(request(t.Context(), inSession(appSession)), nil)); got != aliceCookie {
					t.Errorf("when it answers again: %s", got)
				}
			}
		})
	}
}

// One caller with odd cookies must not cut off all others.
func TestOddCredentialsDoNotOpenForwardCircuit(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 413, 431, 500} {
		runSynctest(t, fmt.Sprint(code), func(t *testing.T) {
			app := newApplication()
			forward := forwardMode(app)
			app.answers(page(status(code)))
			for n := range 100 {
				_, _ = forward.Authenticate(request(t.Context(), inSession(fmt.Sprint("odd=", n))), nil)
			}
			app.signIn()
			if got := verdict(forward.Authenticate(request(t.Context(), inSession(appSession)), nil)); got != aliceCookie || app.calls() != 101 {
				t.Errorf("%s after %d calls", got, app.calls())
			}
		})
	}
}

func TestForwardRefusesUnverifiedEmail(t *testing.T) {
	for answer, want := range map[string]string{
		`{"email":"alice"}`:                         aliceCookie,
		`{"email":"alice","email_verified":true}`:   aliceCookie,
		`{"email":"alice","email_verified":false}`:  refused,
		`{"email":"alice","email_verified":"true"}`: aliceCookie,
		`{"email":"alice","emailVerified":false}`:   refused,
		`{"email":"alice","email_verified":null}`:   refused,
	} {
		runSynctest(t, answer, func(t *testing.T) {
			app := newApplication()
			app.answers(page(text(answer)))
			forward := forwardMode(app, func(f *auth.ForwardConfig) { f.UserClaim = "email" })
			if got := verdict(forward.Authenticate(request(t.Context(), inSession(appSession)), nil)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
