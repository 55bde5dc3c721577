package handler_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestLogoutAlsoSignsOutAtTheProvider(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	other := w.browser(t) // alice on another machine
	other.signIn(alice, "")
	a := b.logout()
	end := a.endSessionURL(t)
	if !strings.HasPrefix(end, w.issuer+"/end_session?") {
		t.Fatalf("the browser is to end its session at %q", end)
	}
	if home := passProvider(t, b.http, end, nil, w.url); home != w.url+"/" {
		t.Errorf("the provider sends the browser to %q", home)
	}
	// passProvider gives up where the login page has no such button: it is shown.
	a = b.open(b.back(b.begin(""), bob))
	a.access.has(t, accessLine{User: bob})
	other.isSignedIn(alice)
}

func TestLogoutWithoutSessionSucceeds(t *testing.T) {
	w := newWorld(t, withSignIn())
	for _, edits := range [][]with{nil, {header("Cookie", sessionCookie+"=garbage")}, {header("Authorization", "Bearer "+w.token(alice))}} {
		a := w.browser(t).ask(http.MethodPost, "/auth/logout", edits...)
		end, err := url.Parse(a.endSessionURL(t))
		if err != nil || end.Query().Has("id_token_hint") || end.Query().Get("client_id") != oidcClient {
			t.Errorf("the browser is to end its session at %v, %v", end, err)
		}
		a.access.has(t, accessLine{Mode: "oidc", User: empty, Code: empty})
		if got := a.header.Get("Set-Cookie"); got != sessionCookie+"=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict" {
			t.Errorf("Set-Cookie is %q", got)
		}
	}
}

func TestLogoutEndsTheSessionDuringProviderOutage(t *testing.T) {
	w := newWorld(t, withSignIn())
	w.wire.breaks(http.ErrServerClosed)
	b := w.signedIn(t, alice)
	a := b.logout()
	if a.status != http.StatusOK || a.body != "{}" {
		t.Errorf("answer %d %s", a.status, a.body)
	}
	b.isSignedIn(nobody)
}

// sid is the session of the last sign-in at the provider.
func (w *world) sid(t *testing.T) string {
	t.Helper()
	raw, _ := w.wire.seen()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.SID == "" {
		t.Fatalf("%v: %q", err, claims.SID)
	}
	return claims.SID
}

func TestBackChannelLogoutEndsSessions(t *testing.T) {
	w := newWorld(t, withSignIn(), basePath("/dropgate"))
	one, two, bobs := w.browser(t), w.browser(t), w.browser(t)
	one.signIn(alice, "")
	first := w.sid(t)
	two.signIn(alice, "")
	bobs.signIn(bob, "")
	for _, step := range []struct {
		name  string
		do    func() error
		ended int
		two   string // the user of the second browser afterwards
	}{
		{"one session", func() error { return w.idp.EndSession(t.Context(), first) }, 1, alice},
		{"all of a user", func() error { return w.idp.EndUser(t.Context(), alice) }, 1, nobody},
		{"all of a user who has none", func() error { return w.idp.EndUser(t.Context(), alice) }, 0, nobody},
	} {
		mark := w.logs.mark()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		access := accessLineOf(t, w.logs.await(t, mark, "access"))
		access.has(t, accessLine{Route: "/dropgate/auth/backchannel-logout", Status: 200, Mode: "oidc", User: empty, Code: empty})
		if access.Bytes != 0 {
			t.Errorf("the answer has %d bytes", access.Bytes)
		}
		said := w.logs.since(mark, "")
		if len(said) != 1 {
			t.Fatalf("%s: %d lines beside the access line, want 1: %v", step.name, len(said), said)
		}
		said[0].has(t, line{
			"level": "info", "sessions": float64(step.ended), "request_id": access.RequestID,
			"message": "the identity provider signed a user out",
		})
		one.isSignedIn(nobody)
		one.vendRefused()
		two.isSignedIn(step.two)
		bobs.isSignedIn(bob)
	}
}

func (b *browser) vendRefused() {
	b.t.Helper()
	a := b.vend()
	a.refused(b.t, http.StatusUnauthorized, "Unauthenticated")
}

// notice is a request of the provider's server.
func (w *world) notice(content string, edits ...with) *http.Request {
	form := header("Content-Type", "application/x-www-form-urlencoded")
	return w.request(nobody, http.MethodPost, "/auth/backchannel-logout", append([]with{body(content), form}, edits...)...)
}

// logoutToken is a good one.
func (w *world) logoutToken(t testing.TB, user string) string {
	t.Helper()
	token, err := w.idp.LogoutToken(oidcClient, user, "")
	if err != nil {
		t.Fatal(err)
	}
	w.tokens.add(token)
	return token
}

func TestBadLogoutTokensEndNothing(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.signedIn(t, alice)
	good := w.logoutToken(t, alice)
	used := w.logoutToken(t, bob)
	a := w.do(t, w.notice("logout_token="+used))
	if a.status != http.StatusOK || a.body != "" {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	another, err := w.idp.LogoutToken("another-client", alice, "")
	if err != nil {
		t.Fatal(err)
	}
	w.browser(t).signIn(bob, "")
	idToken, _ := w.wire.seen()
	inQuery := func(r *http.Request) { r.URL.RawQuery = "logout_token=" + good }
	for name, row := range map[string]struct {
		content string
		edits   []with
		status  int
		code    string
		message string
	}{
		"JSON":                  {`{"logout_token":"` + good + `"}`, []with{header("Content-Type", "application/json")}, 415, "UnsupportedMediaType", "application/x-www-form-urlencoded"},
		"no type":               {"logout_token=" + good, []with{without("Content-Type")}, 415, "UnsupportedMediaType", "application/x-www-form-urlencoded"},
		"two types":             {"logout_token=" + good, []with{header("Content-Type", "application/x-www-form-urlencoded, text/plain")}, 415, "UnsupportedMediaType", "application/x-www-form-urlencoded"},
		"multipart":             {"logout_token=" + good, []with{header("Content-Type", "multipart/form-data; boundary=x")}, 415, "UnsupportedMediaType", "application/x-www-form-urlencoded"},
		"too large":             {"logout_token=" + good + "&x=" + strings.Repeat("x", 64<<10), nil, 413, "PayloadTooLarge", "64 KiB"},
		"nothing":               {"", nil, 400, "BadRequest", "one logout_token"},
		"no token":              {"token=" + good, nil, 400, "BadRequest", "one logout_token"},
		"an empty token":        {"logout_token=", nil, 400, "BadRequest", "logout token is invalid"},
		"two tokens":            {"logout_token=" + good + "&logout_token=" + good, nil, 400, "BadRequest", "one logout_token"},
		"in the query":          {"", []with{inQuery}, 400, "BadRequest", "one logout_token"},
		"not a form":            {"logout_token=%zz" + good, nil, 400, "BadRequest", "is invalid"},
		"not a token":           {"logout_token=0123456789abcdef0123456789", nil, 400, "BadRequest", "logout token is invalid"},
		"used before":           {"logout_token=" + used, nil, 400, "BadRequest", "already used"},
		"for another client":    {"logout_token=" + another, nil, 400, "BadRequest", "logout token is invalid"},
		"an ID token":           {"logout_token=" + idToken, nil, 400, "BadRequest", "logout token is invalid"},
		"of an access token":    {"logout_token=" + w.token(alice), nil, 400, "BadRequest", "logout token is invalid"},
		"with a cut signature":  {"logout_token=" + good[:len(good)-8], nil, 400, "BadRequest", "logout token is invalid"},
		"of another one's page": {"logout_token=" + good, []with{fromPage("cross-site", evil)}, 403, "CrossOriginRequest", "another origin"},
	} {
		t.Run(name, func(t *testing.T) {
			mark := w.logs.mark()
			a := w.do(t, w.notice(row.content, row.edits...))
			a.refused(t, row.status, row.code)
			if !strings.Contains(a.problem.Message, row.message) {
				t.Errorf("the answer says %q, want a word of %q", a.problem.Message, row.message)
			}
			if said := w.logs.since(mark, ""); len(said) != 0 {
				t.Errorf("the log says %v", said)
			}
			b.isSignedIn(alice)
		})
	}
	a = w.do(t, w.notice("logout_token="+url.QueryEscape(good), header("Content-Type", `application/x-www-form-urlencoded; charset="utf-8"`)))
	if a.status != http.StatusOK {
		t.Errorf("answer %d (%s)", a.status, a.access.Reason)
	}
	b.isSignedIn(nobody)
}

// While it is too early to fetch the new key, the provider is asked to resend the
// token. The next sign-in may fetch earlier and brings the key. Then the resent
// token counts.
func TestLogoutTokenWithANewKeyCounts(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	if err := w.idp.Rotate(); err != nil {
		t.Fatal(err)
	}
	token := w.logoutToken(t, alice)
	a := w.do(t, w.notice("logout_token="+token))
	a.unavailable(t)
	b.isSignedIn(alice)
	other := w.browser(t)
	other.signIn(bob, "")
	if a := w.do(t, w.notice("logout_token="+token)); a.status != http.StatusOK {
		t.Errorf("answer %d (%s)", a.status, a.access.Reason)
	}
	b.isSignedIn(nobody)
	other.isSignedIn(bob)
}

// Every world searches its logs for secrets at the end. This test makes sure that
// it knows all of them.
func TestNoCookieOrTokenIsLogged(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	provider := b.begin("/")
	address := b.back(provider, alice)
	back, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{oidcSecret, back.Query().Get("state"), back.Query().Get("code")}
	for _, cookie := range b.logins() {
		want = append(want, cookie.Value)
	}
	b.open(address)
	idToken, _ := w.wire.seen()
	want = append(want, b.session(), idToken)
	b.vend()
	if err := w.idp.EndUser(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	known := w.tokens.spellings()
	for i, secret := range want {
		if len(secret) < 16 || !slices.Contains(known, secret) {
			t.Errorf("the world does not know the secret %d %q", i, secret)
		}
	}
	if len(want) != 6 {
		t.Errorf("%d secrets, want 6", len(want))
	}
	for _, piece := range []string{"return_to", "state=", "code=", "?"} {
		if strings.Contains(w.logs.text(), piece) {
			t.Errorf("%s is in the logs", piece)
		}
	}
}
