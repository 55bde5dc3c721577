//go:build faults

package faults_test

import (
	"net/http"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// repeat repeats a call until stop is called.
func repeat(every time.Duration, something func()) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			something()
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}

// TestUsersDoNotNoticeExpiringAccessTokens: access tokens end often, and users still
// get client tokens.
func TestUsersDoNotNoticeExpiringAccessTokens(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(*emulator.Emulator){
		"access tokens expire, twice a second":      (*emulator.Emulator).ExpireAccessTokens,
		"access tokens are revoked, twice a second": (*emulator.Emulator).RevokeAccessTokens,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stop func()
			dwollaFault{
				name:  name,
				begin: func(w *world) { stop = repeat(500*time.Millisecond, func() { ends(w.dwolla.Emulator) }) },
				end:   func(*world) { stop() },
				// On a busy machine the token may end between both attempts of a
				// request.
				allowed: []string{token}, rare: []string{unavailable}, seen: []string{token},
			}.run(t)
		})
	}
}

// TestNoClientTokensWithoutANewAccessToken: while the old access token is valid, users
// notice nothing.
func TestNoClientTokensWithoutANewAccessToken(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]emulator.Fault{
		"fails":                {Status: http.StatusInternalServerError},
		"sends half an answer": {CutMidBody: true},
		"hangs":                {Latency: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dwollaFault{
				name: "the access token has expired, and /token " + name,
				begin: func(w *world) {
					w.dwolla.InjectFault(emulator.OpToken, fault)
					w.dwolla.ExpireAccessTokens()
				},
				allowed: []string{unavailable, timedOut}, timeout: shortTimeout,
			}.run(t)
		})
	}
	t.Run("while the old one lives", func(t *testing.T) {
		t.Parallel()
		dwollaFault{
			name: "/token fails, while the access token lives",
			begin: func(w *world) {
				w.dwolla.InjectFault(emulator.OpToken, emulator.Fault{Status: http.StatusInternalServerError})
			},
			allowed: []string{token}, seen: []string{token},
			life: 25 * time.Second, // the server renews it after 19 s
		}.run(t)
	})
}
