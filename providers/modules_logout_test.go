package providers_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// logoutModule is a logout token of one module.
type logoutModule struct {
	edits object // of the claims; nil removes one
	sign  func(claims object) string
	// The answer, and whether the session ends.
	status int
	ends   bool
}

func logoutModules() map[string]logoutModule {
	const prefix = "oidcc-client-test-rp-backchannel-rpinitlogout"
	shared := signed{algorithm: "HS256", key: []byte(opSecret), kid: keyID}
	return map[string]logoutModule{
		prefix:                  {status: http.StatusOK, ends: true},
		prefix + "-alg-none":    {status: http.StatusBadRequest, sign: unsigned},
		prefix + "-wrong-alg":   {status: http.StatusBadRequest, sign: shared.text},
		prefix + "-no-event":    {status: http.StatusBadRequest, edits: object{"events": nil}},
		prefix + "-wrong-event": {status: http.StatusBadRequest, edits: object{"events": object{"http://schemas.openid.net/event/another": object{}}}},
		prefix + "-with-nonce":  {status: http.StatusBadRequest, edits: object{"nonce": "n"}},
		prefix + "-wrong-aud":   {status: http.StatusBadRequest, edits: object{"aud": "another"}},
		prefix + "-wrong-iss":   {status: http.StatusBadRequest, edits: object{"iss": "https://op.example.com/test/a/another/"}},
		// Not of the suite, but of the specification (2.6).
		"neither sub nor sid": {status: http.StatusBadRequest, edits: object{"sub": nil, "sid": nil}},
		"no jti":              {status: http.StatusBadRequest, edits: object{"jti": nil}},
		"sub of another user": {status: http.StatusOK, edits: object{"sub": "another", "sid": nil}},
	}
}

// logoutToken is the token of a module, for the user of the modules.
func (w oidcWorld) logoutToken(m logoutModule) string {
	claims := object{
		"iss": w.document["issuer"], "aud": w.client, "iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Minute).Unix(),
		"jti": "bWJq", "sub": w.claims["sub"], "sid": "08a5019c", "events": object{"http://schemas.openid.net/event/backchannel-logout": object{}},
	}
	maps.Copy(claims, m.edits)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	if m.sign != nil {
		return m.sign(claims)
	}
	return signed{"RS256", rsaKey(), keyID, object{"typ": "logout+jwt"}}.text(claims)
}

func TestRelyingPartyModulesOfBackChannelLogout(t *testing.T) {
	t.Parallel()
	for name, m := range logoutModules() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startOIDC(t, moduleRow(), claimed("sid", "08a5019c"))
			b, _ := w.signIn(t)
			if user, _ := b.user(); user != moduleUser {
				t.Fatalf("user %q\n%s", user, w.service.logs)
			}
			form := url.Values{"logout_token": {w.logoutToken(m)}}
			if page := b.send(http.MethodPost, appOrigin+"/auth/backchannel-logout", form); page.status != m.status {
				t.Errorf("%d %s, want %d", page.status, page.text, m.status)
			}
			if user, _ := b.user(); (user == "") != m.ends {
				t.Errorf("afterwards the user is %q, end of the session: %t", user, m.ends)
			}
		})
	}
}

// An attacker may have a logout token of before.
func TestUsedLogoutTokenEndsNoLaterSession(t *testing.T) {
	t.Parallel()
	w := startOIDC(t, moduleRow(), claimed("sid", "08a5019c"))
	form := url.Values{"logout_token": {w.logoutToken(logoutModule{})}}
	for _, want := range []struct {
		status int
		user   string
	}{{http.StatusOK, ""}, {http.StatusBadRequest, moduleUser}} {
		b, _ := w.signIn(t)
		if page := b.send(http.MethodPost, appOrigin+"/auth/backchannel-logout", form); page.status != want.status {
			t.Errorf("%d %s, want %d", page.status, page.text, want.status)
		}
		if user, _ := b.user(); user != want.user {
			t.Errorf("afterwards the user is %q, want %q", user, want.user)
		}
	}
}

// The provider may return state as it was sent, another state, or no state.
func TestRelyingPartyModulesOfInitiatedLogout(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(sent string) url.Values{
		"oidcc-client-test-rp-init-logout":             func(sent string) url.Values { return url.Values{"state": {sent}} },
		"oidcc-client-test-rp-init-logout-other-state": func(string) url.Values { return url.Values{"state": {"another"}} },
		"oidcc-client-test-rp-init-logout-no-state":    func(string) url.Values { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startOIDC(t, moduleRow())
			var hint string
			w.change(func(o *op) {
				sign := o.sign
				o.sign = func(claims object) string { hint = sign(claims); return hint }
			})
			w.world.serve("https://op.example.com/test/a/dropgate/end_session", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				back := q.Get("post_logout_redirect_uri")
				if !strings.HasPrefix(back, appOrigin+"/") || q.Get("client_id") != w.client || q.Get("id_token_hint") != hint {
					http.Error(rw, "a faulty request: "+q.Encode(), http.StatusBadRequest)
					return
				}
				http.Redirect(rw, r, back+"?"+answer(q.Get("state")).Encode(), http.StatusFound)
			}))
			b, _ := w.signIn(t)
			page := b.open(b.signOut().String())
			if user, _ := b.user(); user != "" || page.url.Scheme+"://"+page.url.Host != appOrigin {
				t.Errorf("user %q, on the page %s: %s", user, page.url, page.text)
			}
		})
	}
}
