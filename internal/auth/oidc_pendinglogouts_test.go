package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

const elsewhere = "198.51.100.7"

// The provider may never send the token again.
func TestPendingLogoutTakesEffectWhenKeyArrives(t *testing.T) {
	otherKey()
	for way, r := range rotationsWithNewKeyID() {
		t.Run(way, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				b := w.rotated(t, r)
				token := logoutTokenWithHeader(r.after)
				_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, token)
				checkFailure(t, err)
				b.checkUser(aliceCookie)
				w.rotateTo(otherKey(), r.after)
				advance(refreshEvery)
				b.checkUser(refused)
				// The provider sends it again after it took effect.
				if n, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, token); n != 0 || err != nil {
					t.Errorf("the same token again: %d ended (%v)", n, err)
				}
			})
		})
	}
}

// rotated signs alice in, and switches the provider to a key not yet published.
func (w *oidcHarness) rotated(t *testing.T, r struct{ before, after object }) *browser {
	t.Helper()
	w.rotateTo(rsaKey(), r.before)
	go w.keys.Run(t.Context())
	go w.oidc.Run(t.Context())
	synctest.Wait()
	b := w.browser(t)
	b.signIn()
	w.rotateTo(otherKey(), r.after)
	w.idp.serve(jwks, status(http.StatusServiceUnavailable))
	advance(time.Minute)
	return b
}

func TestPendingLogoutTakesEffectAfterFirstKeys(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		w.keys = auth.NewKeySet(auth.KeySetConfig{
			Issuer: issuer, URL: issuer + jwks, Transport: w.idp, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		})
		w.restart() // a fresh replica
		w.idp.serve(jwks, status(http.StatusServiceUnavailable))
		go w.keys.Run(t.Context())
		go w.oidc.Run(t.Context())
		synctest.Wait()
		// exp passes during the wait, but the token arrived in time.
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutToken(nil))
		checkFailure(t, err)
		advance(3 * time.Minute)
		b.checkUser(aliceCookie)
		w.idp.publish(published()...)
		advance(10 * time.Second)
		b.checkUser(refused)
	})
}

func TestPendingLogoutTakesEffectAfterStoreOutage(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		go w.oidc.Run(t.Context())
		b := w.browser(t)
		b.signIn()
		w.store.failOn("end")
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutToken(nil))
		checkFailure(t, err)
		advance(time.Minute)
		b.checkUser(aliceCookie)
		w.store.failOn()
		advance(5 * time.Second)
		b.checkUser(refused)
	})
}

// The strangers' networks hold more bytes, so they lose tokens first.
func TestStrangersCannotEvictPendingLogouts(t *testing.T) {
	otherKey()
	r := rotations["another kid"]
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
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
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutTokenWithHeader(r.after))
		checkFailure(t, err)
		strangers(500)
		w.rotateTo(otherKey(), r.after)
		advance(refreshEvery)
		b.checkUser(refused)
	})
}

// The logout comes before the session starts.
func TestLogoutDuringExchangePreventsSession(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
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
		advance(time.Second)
		b.signIn()
		b.checkUser(aliceCookie)
	})
}

// The logout takes effect after its request.
func TestLateLogoutIsReportedWithItsSender(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		var causes []clienttoken.Cause
		var ends []auth.Ended
		w.oidc = w.replica(prometheus.NewRegistry(), func(c *auth.OIDCConfig) {
			c.Ended = func(ctx context.Context, e auth.Ended) error {
				causes, ends = append(causes, clienttoken.CauseOf(ctx)), append(ends, e)
				return nil
			}
		})
		go w.oidc.Run(t.Context())
		b := w.browser(t)
		b.signIn()
		w.store.failOn("end")
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutToken(nil))
		checkFailure(t, err)
		w.store.failOn()
		advance(5 * time.Second)
		b.checkUser(refused)
		if !slices.Equal(causes, []clienttoken.Cause{{Mode: "oidc", ClientIP: elsewhere}}) ||
			!slices.Equal(ends, []auth.Ended{{UserID: "alice", Why: "backchannel_logout"}}) {
			t.Errorf("%+v by %+v", ends, causes)
		}
	})
}
