package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

func TestAddedUserSignsIn(t *testing.T) {
	w := newWorld(t)
	claims := map[string]any{"name": "Carol Demo"}
	if err := w.provider.AddUser("carol", claims); err != nil {
		t.Fatal(err)
	}
	claims["name"] = "changed later"
	if got := w.redeem("first", w.signIn(w.browser(), "first", "carol")); got.token.Subject != "carol" || got.Name != "Carol Demo" {
		t.Errorf("signed in as %+v", got)
	}
}

func TestUserNamesAreTakenOnce(t *testing.T) {
	p, _ := unlistened(t)
	for _, name := range []string{"alice", ""} {
		if err := p.AddUser(name, nil); err == nil {
			t.Errorf("%q was added", name)
		}
	}
}

func TestAddedUsersAreBounded(t *testing.T) {
	p, _ := unlistened(t)
	for n := range 1000 - len(users()) {
		if err := p.AddUser(fmt.Sprint("user ", n), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.AddUser("one too many", nil); err == nil {
		t.Error("there is no bound")
	}
}

// loginAs is the address that signs a browser in as user and goes on to a page.
func loginAs(user, then string) string {
	return "/login-as?" + url.Values{"user": {user}, "then": {then}}.Encode()
}

func TestLoginAsReplacesTheLoginPage(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, user := range []string{"alice", "bob"} {
		b.open(w.issuer + loginAs(user, w.root+"/anywhere"))
		landed := b.open(w.oauth("first").AuthCodeURL("the state"))
		if got := w.redeem("first", landed.answer()); got.token.Subject != user {
			t.Errorf("signed in as %s, want %s", got.token.Subject, user)
		}
	}
}

func TestLoginAsRefusesForeignPagesAndTargets(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		path, site string
		want       int
	}{
		"unknown user":     {loginAs("mallory", w.root+"/"), "", http.StatusNotFound},
		"no target":        {loginAs("alice", ""), "", http.StatusBadRequest},
		"path alone":       {loginAs("alice", "/first"), "", http.StatusBadRequest},
		"foreign target":   {loginAs("alice", "http://evil.example/"), "", http.StatusBadRequest},
		"lookalike target": {loginAs("alice", w.root+"@evil.example/"), "", http.StatusBadRequest},
		"user info":        {loginAs("alice", "http://a:b@"+w.root[len("http://"):]+"/"), "", http.StatusBadRequest},
		"script":           {loginAs("alice", "javascript:alert(1)"), "", http.StatusBadRequest},
		"foreign page":     {loginAs("alice", w.root+"/"), "cross-site", http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.issuer+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", c.site)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want || len(resp.Cookies()) != 0 {
			t.Errorf("%s: %d with cookies %v, want %d and none", name, resp.StatusCode, resp.Cookies(), c.want)
		}
	}
}
