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

// rotateTo makes this the provider's only key, with the kid in the header.
func (w *oidcHarness) rotateTo(key *rsa.PrivateKey, h object) {
	w.idp.publish(public(kidOf(h), key))
	w.op.tokens(func(nonce string) string {
		return sign(key, edited(h, object{"typ": "JWT"}), idClaims(object{"nonce": nonce}))
	})
}

// logoutTokenWithHeader is a logout token, signed with the key after a rotation.
func logoutTokenWithHeader(h object) string {
	return sign(otherKey(), edited(h, object{"typ": "logout+jwt"}), logoutClaims(object{"exp": time.Now().Add(time.Hour).Unix()}))
}

// rotationsWithNewKeyID are the rotations with a recognizably new key.
func rotationsWithNewKeyID() map[string]struct{ before, after object } {
	return map[string]struct{ before, after object }{
		"another kid": rotations["another kid"],
		"no kid":      rotations["no kid"],
	}
}

// After an outage the provider sends the token again. After a refusal it does not,
// and the session would continue.
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

// logoutAfterRotation rotates, runs happens, and sends a logout token. The token
// must take effect in the end.
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

// An unknown key is refused once the provider's keys are fresh.
func TestLogoutTokenWithForeignKeyIsRefused(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.browser(t).signIn()
		advance(fetchEvery)
		_, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutTokenWithHeader(header(object{"kid": "foreign"})))
		checkProtocol(t, err, "logout_token_invalid")
		// A known kid with a bad signature is refused at any time.
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

// The ID token comes from the provider itself, for a code.
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
		for range 90 { // stays within the limit on exchanges
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
