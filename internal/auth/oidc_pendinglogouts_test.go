package auth_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
)

const elsewhere = "198.51.100.7"

// The provider may never send the token again.
func TestPendingLogoutTakesEffectWhenKeyArrives(t *testing.T) {
	otherKey()
	for way, r := range named() {
		t.Run(way, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcWorld) {
				b := w.rotated(t, r)
				token := notice(r.after)
				_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, token)
				checkFailure(t, err)
				b.is(aliceCookie)
				w.signsWith(otherKey(), r.after)
				pass(refreshEvery)
				b.is(refused)
				// The provider was asked to send it again, and it has counted since.
				if n, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, token); n != 0 || err != nil {
					t.Errorf("the same token again: %d ended (%v)", n, err)
				}
			})
		})
	}
}

// rotated signs alice in, and lets the provider sign with a key that nobody can
// fetch yet.
func (w *oidcWorld) rotated(t *testing.T, r struct{ before, after object }) *browser {
	t.Helper()
	w.signsWith(rsaKey(), r.before)
	go w.keys.Run(t.Context())
	go w.oidc.Run(t.Context())
	synctest.Wait()
	b := w.browser(t)
	b.signIn()
	w.signsWith(otherKey(), r.after)
	w.idp.serve(jwks, status(http.StatusServiceUnavailable))
	pass(time.Minute)
	return b
}

func TestPendingLogoutTakesEffectAfterFirstKeys(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		b := w.browser(t)
		b.signIn()
		w.keys = auth.NewKeySet(auth.KeySetConfig{
			Issuer: issuer, URL: issuer + jwks, Transport: w.idp, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		})
		w.forget() // as another process
		w.idp.serve(jwks, status(http.StatusServiceUnavailable))
		go w.keys.Run(t.Context())
		go w.oidc.Run(t.Context())
		synctest.Wait()
		// exp passes while it waits: it came in time.
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutToken(nil))
		checkFailure(t, err)
		pass(3 * time.Minute)
		b.is(aliceCookie)
		w.idp.publish(published()...)
		pass(10 * time.Second)
		b.is(refused)
	})
}

func TestPendingLogoutTakesEffectAfterStoreOutage(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		go w.oidc.Run(t.Context())
		b := w.browser(t)
		b.signIn()
		w.store.breakDown("end")
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutToken(nil))
		checkFailure(t, err)
		pass(time.Minute)
		b.is(aliceCookie)
		w.store.breakDown()
		pass(5 * time.Second)
		b.is(refused)
	})
}

// Their addresses hold more than the provider's, and give way.
func TestStrangersCannotEvictPendingLogouts(t *testing.T) {
	otherKey()
	r := rotations["another kid"]
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		b := w.rotated(t, r)
		strangers := func(from int) {
			for n := from; n < from+500; n++ {
				claims := logoutClaims(object{"jti": fmt.Sprint(n), "pad": strings.Repeat("x", 4<<10)})
				forged := encoded(asJSON(object{"alg": "RS256", "kid": "x", "typ": "logout+jwt"})) + "." + encoded(asJSON(claims)) + "." + encoded("s")
				_, err := w.oidc.BackChannelLogout(t.Context(), fmt.Sprint("203.0.113.", n%20), forged)
				checkFailure(t, err)
			}
		}
		strangers(0)
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, notice(r.after))
		checkFailure(t, err)
		strangers(500)
		w.signsWith(otherKey(), r.after)
		pass(refreshEvery)
		b.is(refused)
	})
}

// The user is out by the time at which the session would begin.
func TestLogoutDuringExchangePreventsSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		w.idp.serve(tokenAt, func(rw http.ResponseWriter, r *http.Request) {
			<-time.After(time.Second)
			if _, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutToken(nil)); err != nil {
				t.Error(err)
			}
			w.op.token(rw, r)
		})
		b := w.browser(t)
		login, err := b.callback(w.op.authorize(b.begin("")))
		checkProtocol(t, err, "logged_out")
		if login.User != "" || b.cookies["__Host-dropgate-session"] != nil {
			t.Errorf("%+v", login)
		}
		w.idp.serve(tokenAt, w.op.token)
		pass(time.Second)
		b.signIn()
		b.is(aliceCookie)
	})
}

// counting counts the calls of the token endpoint.
func (w *oidcWorld) counting(answer http.HandlerFunc) *atomic.Int64 {
	var calls atomic.Int64
	w.idp.serve(tokenAt, func(rw http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		answer(rw, r)
	})
	return &calls
}

// One sign-in must not make us show our secret for as many codes as there are.
func TestJunkCodeIsExchangedOnce(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		calls := w.counting(w.op.token)
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		for n := range 100 {
			query.Set("code", fmt.Sprint("junk", n))
			_, err := b.copied().callback(query) // with the cookie that it had
			checkProtocol(t, err, map[bool]string{true: "code_refused", false: "state_used"}[n == 0])
		}
		if calls.Load() != 1 {
			t.Errorf("%d exchanges", calls.Load())
		}
	})
}

func TestOutageAllowsThreeExchangesPerSignIn(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		calls := w.counting(status(http.StatusServiceUnavailable))
		b := w.browser(t)
		query := w.op.authorize(b.begin(""))
		for range 100 {
			_, _ = b.copied().callback(query)
		}
		if calls.Load() != 3 {
			t.Errorf("%d exchanges", calls.Load())
		}
	})
}

func TestExchangesAreBoundedOverall(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		var now, most atomic.Int64
		calls := w.counting(func(rw http.ResponseWriter, r *http.Request) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			after(500*time.Millisecond, w.op.token)(rw, r)
		})
		for range 4 {
			for range 150 {
				go func() {
					b := w.browser(t)
					query := w.op.authorize(b.begin(""))
					query.Set("code", "junk")
					_, _ = b.callback(query)
				}()
			}
			pass(time.Second)
		}
		pass(10 * time.Second)
		if n := calls.Load(); n > 100+4*50 || n < 150 || most.Load() > 32 {
			t.Errorf("%d exchanges in 4 s, %d at once", n, most.Load())
		}
		w.browser(t).signIn()
	})
}
