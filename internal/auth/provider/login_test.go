package provider_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

const (
	loginPage = "Demo identity provider</title>"
	signedOut = "You are signed out."
)

func TestLoginPageListsUsersWithoutScript(t *testing.T) {
	all := users()
	all[`<script>"`] = nil
	_, b := unlistened(t, func(o *provider.Options) { o.Users = all })
	at := b.open(authorize)
	at.shows(loginPage)
	rest := at.body
	for _, button := range []string{"Sign in as &lt;script&gt;&#34;<", "Sign in as alice<", "Sign in as bob<", "Cancel<"} {
		_, after, found := strings.Cut(rest, button)
		if !found {
			t.Errorf("no %q, or not in its place: %s", button, at.body)
		}
		rest = after
	}
	if strings.Contains(at.body, "<script") {
		t.Error("a user's name is markup")
	}
	if policy := at.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "form-action") {
		t.Errorf("the policy is %q", policy)
	}
}

func TestSessionCookieIsHTTPOnlyAndLax(t *testing.T) {
	for root, secure := range map[string]bool{issuer: false, "https://id.example.com": true} {
		_, b := unlistened(t, func(o *provider.Options) {
			o.Issuer, o.Clients = root, []provider.Client{{ID: "first", RedirectURIs: []string{root + "/first"}}}
		})
		at := b.open(strings.ReplaceAll(authorize, issuer, root))
		b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		given := b.press(at, "user", "alice").header.Get("Set-Cookie")
		_, rest, _ := strings.Cut(given, "; ")
		want := "Path=/; HttpOnly; SameSite=Lax"
		if secure {
			want = "Path=/; HttpOnly; Secure; SameSite=Lax"
		}
		if rest != want {
			t.Errorf("the cookie of %s is %q, want %q", root, given, want)
		}
	}
}

func TestSingleSignOnServesEveryClient(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := w.redeem("first", w.signIn(b, "first", "alice"))
	for name, option := range map[string]oauth2.AuthCodeOption{
		"without a prompt": oauth2.AccessTypeOnline,
		"prompt=none":      oauth2.SetAuthURLParam("prompt", "none"),
		"max_age":          oauth2.SetAuthURLParam("max_age", "600"),
	} {
		second := w.redeem("second", b.open(w.oauth("second").AuthCodeURL("", option)).answer())
		if second.token.Subject != "alice" || second.SID != first.SID || second.AuthTime != first.AuthTime {
			t.Errorf("%s: %s in session %q, want alice in %q", name, second.token.Subject, second.SID, first.SID)
		}
	}
	w.browser().open(w.oauth("second").AuthCodeURL("")).shows(loginPage)
}

func TestClientsCanForceTheLoginPage(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	old := w.redeem("first", w.signIn(b, "first", "alice"))
	for _, query := range []string{"prompt=login", "prompt=select_account", "max_age=0"} {
		name, value, _ := strings.Cut(query, "=")
		b.open(w.oauth("first").AuthCodeURL("", oauth2.SetAuthURLParam(name, value))).shows(loginPage)
	}
	login := oauth2.SetAuthURLParam("prompt", "login")
	if renewed := w.redeem("first", w.signIn(b, "first", "alice", login)); renewed.SID != old.SID {
		t.Error("the same user has another session")
	}
	if other := w.redeem("first", w.signIn(b, "first", "bob", login)); other.token.Subject != "bob" || other.SID == old.SID {
		t.Errorf("%s signed in to the session of alice", other.token.Subject)
	}
	hint := oauth2.SetAuthURLParam("id_token_hint", old.raw)
	b.open(w.oauth("first").AuthCodeURL("", hint)).shows(loginPage) // the hint names alice, the session is bob's
}

func TestForeignPagesCannotPostForms(t *testing.T) {
	p, b := unlistened(t)
	at := b.open(authorize)
	id := at.url.Query().Get("id")
	for _, path := range []string{"/login?user=alice&id=" + id, "/logout-user?user=alice", "/rotate"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, http.NoBody)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", path, w.Code)
		}
	}
}

func TestSignInNeedsAKnownUserAndRequest(t *testing.T) {
	_, b := unlistened(t)
	at := b.open(authorize)
	if got := b.press(at, "user", "mallory"); got.status != http.StatusBadRequest {
		t.Errorf("mallory: %d at %s", got.status, got.url)
	}
	b.press(at, "cancel", "")
	if got := b.press(at, "user", "alice"); got.status != http.StatusBadRequest {
		t.Errorf("after Cancel: %d at %s", got.status, got.url)
	}
	if got := b.open(issuer + "/login?id=made-up"); got.status != http.StatusBadRequest {
		t.Errorf("a made-up request: %d", got.status)
	}
}

func TestPrintedClientMasksItsSecret(t *testing.T) {
	c := provider.Client{ID: "first", Secret: clienttoken.NewSecret(secret)}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, secret) {
		t.Errorf("printed: %s", text)
	}
}

func TestRequestGetsOneCode(t *testing.T) {
	_, b := unlistened(t)
	at := b.open(authorize)
	if !b.press(at, "user", "alice").answer().Has("code") {
		t.Fatal("no code")
	}
	callback := issuer + "/authorize/callback?id=" + at.url.Query().Get("id")
	if got := b.open(callback); got.status != http.StatusBadRequest || got.answer().Has("code") {
		t.Errorf("once more: %d at %s", got.status, got.url)
	}
}
