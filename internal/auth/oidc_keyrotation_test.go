package auth_test

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
)

// signsWith makes a key, and the name that a header gives it, the provider's only
// one.
func (w *oidcHarness) rotateTo(key *rsa.PrivateKey, h object) {
	w.idp.publish(public(kidOf(h), key))
	w.op.tokens(func(nonce string) string {
		return sign(key, edited(h, object{"typ": "JWT"}), idClaims(object{"nonce": nonce}))
	})
}

// notice is a logout token of a header, signed with the key after a rotation.
func logoutTokenWithHeader(h object) string {
	return sign(otherKey(), edited(h, object{"typ": "logout+jwt"}), logoutClaims(object{"exp": time.Now().Add(time.Hour).Unix()}))
}

// named are the rotations after which a token says by itself that its key is
// not one of those at hand, or does not say anything of it.
func rotationsWithNewKeyID() map[string]struct{ before, after object } {
	return map[string]struct{ before, after object }{
		"another kid": rotations["another kid"],
		"no kid":      rotations["no kid"],
	}
}

// Who was told that a logout has not reached us sends it again. Who was told that
// it is invalid does not, and the session would go on.
func TestLogoutTokenWithNewKeyIsOutageFirst(t *testing.T) {
	otherKey()
	for way, r := range rotationsWithNewKeyID() {
		t.Run("too early, "+way, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.logoutAfterRotation(t, r, func() {})
			})
		})
		t.Run("the provider is down, "+way, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				w.logoutAfterRotation(t, r, func() {
					w.idp.serve(jwks, status(http.StatusServiceUnavailable))
					advance(time.Minute)
				})
			})
		})
	}
}

// logoutAfterRotation lets something happen after a rotation, and then a logout
// token come, which has to count when all is well again.
func (w *oidcHarness) logoutAfterRotation(t *testing.T, r struct{ before, after object }, happens func()) {
	t.Helper()
	b := w.browser(t)
	w.rotateTo(rsaKey(), r.before)
	b.signIn()
	advance(time.Millisecond)
	w.rotateTo(otherKey(), r.after)
	happens()
	token := logoutTokenWithHeader(r.after)
	for range 3 {
		n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token)
		checkFailure(t, err)
		checkNoSecret(t, err, token)
		if failure, ok := errors.AsType[*clienttoken.Failure](err); n != 0 || ok && failure.RetryAfter > fetchEvery {
			t.Errorf("%d ended, %#v", n, err)
		}
	}
	b.checkUser(aliceCookie)
	w.rotateTo(otherKey(), r.after)
	advance(fetchEvery)
	if n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token); n != 1 || err != nil {
		t.Errorf("%d ended (%v)", n, err)
	}
	b.checkUser(refused)
}

// A key that the provider does not have, when it can be asked, is no outage.
func TestLogoutTokenWithForeignKeyIsRefused(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.browser(t).signIn()
		advance(fetchEvery)
		_, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutTokenWithHeader(header(object{"kid": "foreign"})))
		checkProtocol(t, err, "logout_token_invalid")
		// One that names a key of the provider's is none of its, at any time.
		_, err = w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutTokenWithHeader(header(nil)))
		checkProtocol(t, err, "logout_token_invalid")
	})
}

func TestForgedLogoutTokensCauseFewKeyFetches(t *testing.T) {
	otherKey()
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.browser(t).signIn()
		for i := range 600 {
			_, _ = w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutTokenWithHeader(header(object{"kid": fmt.Sprint("kid ", i)})))
			advance(time.Second)
		}
		fetches := w.idp.fetchedKeys()
		if gap := leastGap(fetches); gap < fetchEvery || len(fetches) < 18 {
			t.Errorf("%d fetches, two within %v", len(fetches), gap)
		}
	})
}

// The provider hands ID tokens over by itself, for a code that is good once.
func TestSignInWorksRightAfterKeyRotation(t *testing.T) {
	for _, later := range []time.Duration{0, time.Millisecond, time.Second, 5 * time.Second, time.Minute} {
		for way, r := range rotationsWithNewKeyID() {
			t.Run(fmt.Sprint(way, " ", later), func(t *testing.T) {
				otherKey()
				withOIDC(t, func(t *testing.T, w *oidcHarness) {
					w.rotateTo(rsaKey(), r.before)
					w.browser(t).signIn()
					advance(later)
					w.rotateTo(otherKey(), r.after)
					start := time.Now()
					b := w.browser(t)
					b.signIn()
					b.checkUser(aliceCookie)
					if waited := time.Since(start); waited > 2*time.Second {
						t.Errorf("after %v", waited)
					}
					if n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutTokenWithHeader(r.after)); n != 2 || err != nil {
						t.Errorf("%d ended (%v)", n, err)
					}
				})
			})
		}
	}
}

func TestIDTokenWithUnfetchableKeyIsOutage(t *testing.T) {
	otherKey()
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		advance(time.Millisecond)
		w.rotateTo(otherKey(), rotations["another kid"].after)
		w.idp.serve(jwks, status(http.StatusServiceUnavailable))
		var tabs sync.WaitGroup
		for range 90 { // with the first sign-in fewer than may come at once
			tabs.Go(func() {
				b := w.browser(t)
				_, err := b.callback(w.op.authorize(b.begin("/page")))
				checkFailure(t, err)
				if !strings.Contains(fmt.Sprint(err), "2026-02") {
					t.Errorf("%v does not tell which key", err)
				}
			})
		}
		tabs.Wait()
		if fetches := w.idp.fetchedKeys(); len(fetches) < 2 || len(fetches) > 3 || leastGap(fetches) < 2*time.Second {
			t.Errorf("fetches at %v", fetches)
		}
		b.checkUser(aliceCookie)
		w.idp.publish(public("2026-02", otherKey()))
		b.signIn()
	})
}
