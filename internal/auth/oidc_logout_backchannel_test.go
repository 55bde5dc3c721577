package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/auth"
)

// logoutClaims returns the claims of a logout token for alice, without a sid.
func logoutClaims(edits object) object {
	return edited(object{
		"iss": issuer, "aud": clientID, "sub": "alice", "jti": "the-notice-" + fmt.Sprint(time.Now().UnixNano()),
		"iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Minute).Unix(),
		"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}},
	}, edits)
}

func logoutToken(edits object) string {
	return sign(rsaKey(), header(object{"typ": "logout+jwt"}), logoutClaims(edits))
}

// fourSessions starts two sessions of alice with a sid, one without, and one of
// bob.
func fourSessions(t *testing.T, w *oidcHarness) map[string]*browser {
	t.Helper()
	all := map[string]*browser{}
	for name, edits := range map[string]object{
		"a1": {"sid": "one"}, "a2": {"sid": "two"}, "a0": {"sid": absent{}}, "b3": {"sub": "bob", "sid": "three"},
	} {
		w.op.answers(edits)
		all[name] = w.browser(t)
		all[name].signIn()
	}
	return all
}

func TestLogoutTokenEndsItsSessions(t *testing.T) {
	for name, c := range map[string]struct {
		claims object
		ended  string
	}{
		"sid":                        {object{"sub": absent{}, "sid": "one"}, "a1"},
		"sub":                        {nil, "a0 a1 a2"},
		"sub and sid":                {object{"sid": "one"}, "a0 a1"},
		"sub and unknown sid":        {object{"sid": "nine"}, "a0"},
		"sub and another's sid":      {object{"sid": "three"}, "a0"},
		"unknown sub":                {object{"sub": "nobody"}, ""},
		"unknown sid":                {object{"sub": absent{}, "sid": "nine"}, ""},
		"names in another case":      {object{"SUB": "bob", "Sid": "three", "ſid": "three"}, "a0 a1 a2"},
		"several aud":                {object{"aud": []string{"another", clientID}}, "a0 a1 a2"},
		"with more claims":           {object{"trace": "x", "toe": 7}, "a0 a1 a2"},
		"iat 10 minutes ago":         {object{"iat": midnight.Add(-10 * time.Minute).Unix()}, "a0 a1 a2"},
		"iat 5 minutes ahead":        {object{"iat": midnight.Add(5 * time.Minute).Unix()}, "a0 a1 a2"},
		"no exp":                     {object{"exp": absent{}}, "a0 a1 a2"},
		"no exp, iat 10 minutes ago": {object{"exp": absent{}, "iat": midnight.Add(-10 * time.Minute).Unix()}, "a0 a1 a2"},
		"the event has members":      {object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{"a": 1}, "b": nil}}, "a0 a1 a2"},
	} {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				all := fourSessions(t, w)
				n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutToken(c.claims))
				if err != nil || n != len(strings.Fields(c.ended)) {
					t.Errorf("%d ended (%v), want %s", n, err, c.ended)
				}
				for name, b := range all {
					if lives := b.who(http.MethodGet) != refused; lives == strings.Contains(c.ended, name) {
						t.Errorf("%s lives: %v", name, lives)
					}
				}
			})
		})
	}
}

func TestLogoutTokenTypeMayBeMissing(t *testing.T) {
	for typ, good := range map[any]bool{
		"logout+jwt": true, "Logout+JWT": true, "application/logout+jwt": true, "JWT": true, "jwt": true, absent{}: true,
		"at+jwt": false, "application/at+jwt": false, "secevent+jwt": false, 7: false,
	} {
		withOIDC(t, func(t *testing.T, w *oidcHarness) {
			w.browser(t).signIn()
			n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", sign(rsaKey(), header(object{"typ": typ}), logoutClaims(nil)))
			if good && (n != 1 || err != nil) {
				t.Errorf("typ %v: %d ended (%v)", typ, n, err)
			} else if !good {
				checkProtocol(t, err, "logout_token_invalid")
			}
		})
	}
}

func TestOtherTokensEndNoSession(t *testing.T) {
	at := func(d time.Duration) int64 { return midnight.Add(d).Unix() }
	tokens := map[string]func() string{
		"empty":                  func() string { return "" },
		"garbage":                func() string { return "a.b.c" },
		"unsigned":               func() string { return encoded(`{"alg":"none"}`) + "." + encoded(asJSON(logoutClaims(nil))) + "." },
		"HS256 with the secret":  func() string { return sign([]byte(clientSecret), object{"alg": "HS256"}, logoutClaims(nil)) },
		"an unknown key":         func() string { return sign(attackerKey(), header(object{"typ": "logout+jwt"}), logoutClaims(nil)) },
		"an ID token":            func() string { return idTokenOf(object{"nonce": "n", "jti": "j"}) },
		"an ID token, no nonce":  func() string { return idTokenOf(object{"jti": "j"}) },
		"an ID token of a trick": func() string { return idTokenOf(object{"jti": "j", "Events": logoutClaims(nil)["events"]}) },
		"longer than 8 KiB":      func() string { return logoutToken(object{"pad": strings.Repeat("x", 8<<10)}) },
	}
	for name, edits := range map[string]object{
		"no events":                {"events": absent{}},
		"events null":              {"events": nil},
		"events empty":             {"events": object{}},
		"events a list":            {"events": []string{"http://schemas.openid.net/event/backchannel-logout"}},
		"another event":            {"events": object{"http://schemas.openid.net/event/other": object{}}},
		"nonce":                    {"nonce": "n"},
		"empty nonce":              {"nonce": ""},
		"wrong aud":                {"aud": "another"},
		"no aud":                   {"aud": absent{}},
		"aud in another case":      {"aud": absent{}, "AUD": clientID},
		"wrong iss":                {"iss": "https://evil.example.com"},
		"wrong iss, right ISS":     {"iss": "https://evil.example.com", "isS": issuer},
		"no iss":                   {"iss": absent{}},
		"expired":                  {"exp": at(-time.Second)},
		"exp as text":              {"exp": "4102444800"},
		"iat as text":              {"iat": "946684800"},
		"event null":               {"events": object{"http://schemas.openid.net/event/backchannel-logout": nil}},
		"event a list":             {"events": object{"http://schemas.openid.net/event/backchannel-logout": []any{}}},
		"event a text":             {"events": object{"http://schemas.openid.net/event/backchannel-logout": ""}},
		"event true":               {"events": object{"http://schemas.openid.net/event/backchannel-logout": true}},
		"event a number":           {"events": object{"http://schemas.openid.net/event/backchannel-logout": 1}},
		"events a text":            {"events": "http://schemas.openid.net/event/backchannel-logout"},
		"nonce null":               {"nonce": nil},
		"sid a number":             {"sub": absent{}, "sid": 5},
		"no exp, too old":          {"exp": absent{}, "iat": at(-10*time.Minute - time.Second)},
		"nbf far ahead":            {"nbf": at(6 * time.Minute)},
		"no jti":                   {"jti": absent{}},
		"empty jti":                {"jti": ""},
		"no iat":                   {"iat": absent{}},
		"iat in another case":      {"iat": absent{}, "IAT": at(0)},
		"iat 10 min 1 s ago":       {"iat": at(-10*time.Minute - time.Second)},
		"iat 5 min 1 s ahead":      {"iat": at(5*time.Minute + time.Second)},
		"neither sub nor sid":      {"sub": absent{}},
		"both empty":               {"sub": "", "sid": ""},
		"sub only in another case": {"sub": absent{}, "SUB": "alice"},
		"sub a list":               {"sub": []string{"alice"}},
	} {
		tokens[name] = func() string { return logoutToken(edits) }
	}
	attackerKey()
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			withOIDC(t, func(t *testing.T, w *oidcHarness) {
				b := w.browser(t)
				b.signIn()
				raw := token()
				n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", raw)
				checkProtocol(t, err, "logout_token_invalid")
				checkNoSecret(t, err, raw, clientSecret)
				if n != 0 {
					t.Errorf("%d ended", n)
				}
				b.checkUser(aliceCookie)
			})
		})
	}
}

func TestLogoutTokenWorksOnce(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		// The same jti in two tokens, until iat and exp are too old.
		long := logoutToken(object{"jti": "once", "exp": midnight.Add(time.Hour).Unix()})
		short := logoutToken(object{"jti": "once"})
		if n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", long); n != 1 || err != nil {
			t.Errorf("%d ended (%v)", n, err)
		}
		b.signIn()
		for time.Since(midnight) < 12*time.Minute {
			w.checkUsed(t, long, time.Since(midnight) <= 10*time.Minute)
			w.checkUsed(t, short, time.Since(midnight) <= 2*time.Minute)
			if got := b.who(http.MethodPost); got != aliceCookie {
				t.Fatalf("after %v: %s", time.Since(midnight), got)
			}
			advance(30 * time.Second)
		}
	})
}

// checkUsed expects a refusal of the token: as used, or else as too old.
func (w *oidcHarness) checkUsed(t *testing.T, token string, used bool) { //nolint:revive // an expectation
	t.Helper()
	code := "logout_token_invalid"
	if used {
		code = "logout_token_used"
	}
	n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token)
	checkProtocol(t, err, code)
	if n != 0 {
		t.Errorf("%d ended", n)
	}
}

func TestConcurrentEqualLogoutTokensWorkOnce(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		token := logoutToken(nil)
		var counted, used atomic.Int32
		for range 50 {
			go func() {
				n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token)
				if err == nil {
					counted.Add(int32(n))
				} else {
					checkProtocol(t, err, "logout_token_used")
					used.Add(1)
				}
			}()
		}
		synctest.Wait()
		if counted.Load() != 1 || used.Load() != 49 {
			t.Errorf("%d ended, %d refused", counted.Load(), used.Load())
		}
		b.checkUser(refused)
	})
}

func TestLogoutTokenWorksAfterStoreOutage(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		b := w.browser(t)
		b.signIn()
		token := logoutToken(nil)
		w.store.failOn("end")
		_, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token)
		checkFailure(t, err)
		checkNoSecret(t, err, token)
		w.store.failOn()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.oidc.BackChannelLogout(gone, "192.0.2.1", token); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
		b.checkUser(aliceCookie)
		if n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token); n != 1 || err != nil {
			t.Errorf("%d ended (%v)", n, err)
		}
	})
}

func TestLogoutTokenWithoutKeysIsOutage(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.idp.serve(jwks, status(http.StatusServiceUnavailable))
		token := logoutToken(nil)
		_, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token)
		checkFailure(t, err)
		w.idp.publish(published()...)
		advance(fetchEvery)
		if n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", token); n != 0 || err != nil {
			t.Errorf("%d ended (%v)", n, err)
		}
	})
}

// The provider identifies the user by sub, independent of the user claim.
func TestLogoutTokenIdentifiesUserBySubject(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.answers(object{"email": "alice@example.com", "email_verified": true})
		b := w.browser(t)
		b.signIn()
		b.checkUser("accepted alice@example.com by cookie")
		for user, want := range map[string]int{"alice@example.com": 0, "alice": 1} {
			n, err := w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutToken(object{"sub": user, "jti": user}))
			if n != want || err != nil {
				t.Errorf("%d sessions of %s ended (%v), want %d", n, user, err, want)
			}
		}
	}, func(c *auth.OIDCConfig) { c.UserClaim = "email" })
}
