package handler_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dropgate/internal/auth/oidctest"
)

// browser keeps cookies and says where its requests come from, as browsers do.
type browser struct {
	w    *world
	t    testing.TB
	jar  *cookiejar.Jar
	http *http.Client // to the provider
}

func (w *world) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{w: w, t: t, jar: jar, http: &http.Client{
		Jar: jar, Transport: w.client.Transport, CheckRedirect: w.client.CheckRedirect,
	}}
}

// signedIn returns a browser with a new session, made without a sign-in.
func (w *world) signedIn(t testing.TB, user string) *browser {
	t.Helper()
	b := w.browser(t)
	b.keep(&http.Cookie{Name: sessionCookie, Value: w.started(t, user), Path: "/"})
	return b
}

// send sends r to the service, with the cookies.
func (b *browser) send(r *http.Request) answer {
	b.t.Helper()
	for _, cookie := range b.jar.Cookies(r.URL) {
		if cookie.Name != sessionCookie || !isForeignNavigation(r) { // it is Strict
			r.AddCookie(cookie)
		}
	}
	a := b.w.do(b.t, r)
	b.jar.SetCookies(r.URL, (&http.Response{Header: a.header}).Cookies())
	return a
}

func isForeignNavigation(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// asPerson returns the headers of a browser opening a page.
func asPerson(r *http.Request) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
}

// open opens an address of the service: a path under the base path, or a URL. It
// loads a page again that asks for it.
func (b *browser) open(address string, edits ...with) answer {
	b.t.Helper()
	a := b.follow(address, edits...)
	if oidctest.LoadsAgain(a.body) {
		a = b.follow(address, append(slices.Clone(edits), header("Sec-Fetch-Site", "same-origin"))...)
	}
	return a
}

// follow opens an address by a link of another site, and loads no page again.
func (b *browser) follow(address string, edits ...with) answer {
	b.t.Helper()
	r := b.w.request(nobody, http.MethodGet, "", append([]with{asPerson}, edits...)...)
	if !strings.HasPrefix(address, b.w.url) {
		address = b.w.url + b.w.base + address
	}
	to, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	r.URL = to
	return b.send(r)
}

// ask sends a request of a page of the service's own origin.
func (b *browser) ask(method, path string, edits ...with) answer {
	b.t.Helper()
	own := fromPage("same-origin", none)
	if method != http.MethodGet {
		own = fromPage("same-origin", b.w.url)
	}
	return b.send(b.w.request(nobody, method, path, append([]with{own}, edits...)...))
}

func (b *browser) vend() answer {
	b.t.Helper()
	return b.ask(http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`))
}

func (b *browser) logout() answer {
	b.t.Helper()
	return b.ask(http.MethodPost, "/auth/logout")
}

// isSignedIn fails the test unless the browser is signed in as user. For nobody,
// it must be signed out.
func (b *browser) isSignedIn(user string) {
	b.t.Helper()
	a := b.ask(http.MethodGet, "/session")
	if user == nobody {
		a.refused(b.t, http.StatusUnauthorized, "Unauthenticated")
	} else if a.status != http.StatusOK || a.access.User != user {
		b.t.Fatalf("answer %d to %q (%s), want 200 to %s", a.status, a.access.User, a.access.Reason, user)
	}
}

// session is the id of the browser's session, if it has one.
func (b *browser) session() string {
	b.t.Helper()
	return b.cookies()[sessionCookie]
}

// cookies returns the browser's cookies by name.
func (b *browser) cookies() map[string]string {
	b.t.Helper()
	root, err := url.Parse(b.w.url)
	if err != nil {
		b.t.Fatal(err)
	}
	found := map[string]string{}
	for _, cookie := range b.jar.Cookies(root) {
		found[cookie.Name] = cookie.Value
	}
	return found
}

// logins returns the browser's login cookies.
func (b *browser) logins() []*http.Cookie {
	b.t.Helper()
	var found []*http.Cookie
	for name, value := range b.cookies() {
		if strings.HasPrefix(name, "dropgate-login-") {
			found = append(found, &http.Cookie{Name: name, Value: value, Path: "/"})
		}
	}
	return found
}

func (b *browser) keep(cookies ...*http.Cookie) {
	b.t.Helper()
	root, err := url.Parse(b.w.url)
	if err != nil {
		b.t.Fatal(err)
	}
	b.jar.SetCookies(root, cookies)
}

// begin starts a sign-in, and returns the provider's address.
func (b *browser) begin(returnTo string) string {
	b.t.Helper()
	a := b.open("/auth/login?" + url.Values{"return_to": {returnTo}}.Encode())
	if a.status != http.StatusSeeOther {
		b.t.Fatalf("answer %d (%s), want 303", a.status, a.access.Reason)
	}
	return a.header.Get("Location")
}

// back passes the provider as user, and returns the address of the callback.
func (b *browser) back(provider, user string) string {
	b.t.Helper()
	address := passProvider(b.t, b.http, provider, url.Values{"user": {user}}, b.w.url)
	back, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.w.tokens.add(back.Query().Get("state"))
	b.w.tokens.add(back.Query().Get("code"))
	return address
}

// signIn signs in as user, and returns the last answer.
func (b *browser) signIn(user, returnTo string) answer {
	b.t.Helper()
	a := b.open(b.back(b.begin(returnTo), user))
	if a.status != http.StatusSeeOther {
		b.t.Fatalf("answer %d (%s), want 303", a.status, a.access.Reason)
	}
	return a
}

// passProvider opens an address of the provider and submits its login page, if
// any. It returns the final address under home.
func passProvider(t testing.TB, client *http.Client, address string, button url.Values, home string) string {
	t.Helper()
	next, page := step(t, client, address, nil)
	for range 10 {
		switch form, isLogin := oidctest.Form(page); {
		case strings.HasPrefix(next, home):
			return next
		case next != "":
			address = next
			next, page = step(t, client, address, nil)
		case isLogin:
			maps.Copy(form, button)
			at, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			address = at.ResolveReference(&url.URL{Path: "login"}).String()
			next, page = step(t, client, address, form)
		default:
			t.Fatalf("at %s: %.300s", address, page)
		}
	}
	t.Fatalf("the provider never sends the browser back: at last to %s", address)
	return ""
}

// step opens an address or posts a form. It returns the redirect's target, or the
// page.
func step(t testing.TB, client *http.Client, address string, form url.Values) (next, page string) {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to, err := resp.Location(); err == nil {
		return to.String(), ""
	}
	return "", string(text)
}

const sessionCookie = "dropgate-session"

// isOfASignIn checks the rules for every response of /auth/…, and notes its
// secrets.
func (a *answer) isOfASignIn(tb rapid.TB, w *world) {
	tb.Helper()
	switch isPage := strings.HasPrefix(a.header.Get("Content-Type"), "text/html"); {
	case isPage && a.status == http.StatusOK:
		a.isTheLandingPage(tb)
	case isPage:
		a.page = readPage(tb, a)
	}
	a.setsCookiesSafely(tb, w)
	to, redirected := a.header["Location"]
	if redirected != (a.status == http.StatusSeeOther) || redirected && (len(to) != 1 || a.body != "") {
		tb.Errorf("answer %d to %q, and %q", a.status, to, a.body)
	}
	if !redirected {
		return
	}
	target, err := url.Parse(to[0])
	if err != nil || !target.IsAbs() || target.Host == "" {
		tb.Fatalf("the browser is sent to %q", to[0])
	}
	for _, parameter := range []string{"state", "nonce", "code_challenge"} {
		w.tokens.add(target.Query().Get(parameter))
	}
}

func (a *answer) setsCookiesSafely(tb rapid.TB, w *world) {
	tb.Helper()
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		w.tokens.add(cookie.Value)
		want := http.SameSiteStrictMode
		if strings.HasPrefix(cookie.Name, "dropgate-login-") {
			want = http.SameSiteLaxMode
		} else if cookie.Name != sessionCookie {
			tb.Errorf("a cookie is named %s", cookie.Name)
		}
		if !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" || cookie.SameSite != want {
			tb.Errorf("the cookie %s has HttpOnly %v, Path %q, Domain %q, SameSite %d", cookie.Name, cookie.HttpOnly, cookie.Path, cookie.Domain, cookie.SameSite)
		}
	}
}

// endSessionURL returns the URL in the response of a logout.
func (a *answer) endSessionURL(tb rapid.TB) string {
	tb.Helper()
	var got map[string]string
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || len(got) > 1 {
		tb.Fatalf("answer %d %s", a.status, a.body)
	}
	return got["endSessionUrl"]
}
