//go:build faults

package faults_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

// site is a group of servers as browsers see them. Its balancer ends TLS and sends each
// request to the next server.
type site struct {
	*httptest.Server

	world     *world
	client    provider.Client // the client registered at the provider
	processes []*process
	settings  map[string]string // of each server
}

// newSite starts n servers that sign users in.
func newSite(t *testing.T, w *world, n int, changes map[string]string) *site {
	t.Helper()
	s := &site{world: w}
	var next atomic.Uint64
	s.Server = httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: s.processes[int(next.Add(1))%len(s.processes)].public})
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(s.Close)
	client := oidctest.Client(s.URL)
	client.Secret = clienttoken.NewSecret(w.secret("AUTH_OIDC_CLIENT_SECRET"))
	settings := map[string]string{
		"AUTH_MODES": "oidc", "AUTH_OIDC_ISSUER": w.settings["AUTH_BEARER_ISSUER"], "AUTH_OIDC_CLIENT_ID": client.ID,
		"AUTH_OIDC_CLIENT_SECRET": client.Secret.Reveal(), "PUBLIC_URL": s.URL,
	}
	maps.Copy(settings, changes)
	s.settings = settings
	for range n {
		s.processes = append(s.processes, w.start(t, settings))
	}
	client.BackChannelLogoutURI = "http://" + s.processes[0].public + "/auth/backchannel-logout"
	s.client = client
	w.provider.AddClient(client)
	return s
}

// browser is a user's browser.
type browser struct {
	*http.Client

	site *site
}

func (s *site) browser(t *testing.T) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{&http.Client{
		Jar: jar, Transport: oidctest.Refreshing(s.world.secrets.watchCookies(s.Client().Transport)), Timeout: 40 * time.Second,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			s.recordAnswer(r.Response, "")
			if len(via) > 10 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}, s}
}

// page is the final answer after redirects.
type page struct {
	at, text string
	status   int
	header   http.Header
}

// open makes a request and follows redirects.
func (b browser) open(t *testing.T, method, at, body string) page {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if strings.HasPrefix(at, b.site.URL) && method == http.MethodPost {
		r.Header = http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}}
	}
	resp, err := b.Do(r)
	if err != nil {
		t.Error(err)
		return page{}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	p := page{resp.Request.URL.String(), string(text), resp.StatusCode, resp.Header}
	b.site.recordAnswer(resp, p.text)
	return p
}

// recordAnswer records an answer, unless it is the provider's.
func (s *site) recordAnswer(resp *http.Response, body string) {
	if strings.HasPrefix(resp.Request.URL.String(), s.URL) {
		s.world.evidence.recordAnswer(resp, body)
	}
}

// authorize begins a sign-in, chooses a user at the provider, and returns the URL of
// the callback that comes next.
func (b browser) authorize(t *testing.T, user string) string {
	t.Helper()
	follow, callback := b.CheckRedirect, ""
	b.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Path == "/auth/callback" {
			callback = r.URL.String()
			return http.ErrUseLastResponse
		}
		return follow(r, via)
	}
	defer func() { b.CheckRedirect = follow }()
	b.signIn(t, user)
	return callback
}

// signIn begins a sign-in and chooses a user at the provider.
func (b browser) signIn(t *testing.T, user string) page {
	t.Helper()
	login := b.open(t, http.MethodGet, b.site.URL+"/auth/login?return_to=/session", "")
	form, ok := oidctest.Form(login.text)
	if !ok {
		return login
	}
	form.Set("user", user)
	return b.open(t, http.MethodPost, b.site.world.settings["AUTH_BEARER_ISSUER"]+"/login", form.Encode())
}

// caller signs user i in, and returns a caller for their page.
func (s *site) caller(t *testing.T, i int) *caller {
	t.Helper()
	b := s.browser(t)
	if p := b.signIn(t, s.world.users[i].name); p.status != http.StatusOK || p.at != s.URL+"/session" {
		t.Fatalf("sign-in: %d", p.status)
	}
	c := &caller{
		user: s.world.users[i], client: b.Client, url: s.URL + "/client-tokens",
		header: http.Header{"Sec-Fetch-Site": {"same-origin"}}, evidence: s.world.evidence,
	}
	c.body, c.refusal = s.world.requestOf(i)
	return c
}

// logout presses the sign-out button on the page of c.
func (s *site) logout(t *testing.T, c *caller) page {
	t.Helper()
	return browser{c.client, s}.open(t, http.MethodPost, s.URL+"/auth/logout", "")
}

// copyCookiesOf returns a caller with a copy of another's cookies.
func (s *site) copyCookiesOf(t *testing.T, of *caller) *caller {
	t.Helper()
	own, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	thief := *of
	thief.client = s.browser(t).Client
	for _, cookie := range of.client.Jar.Cookies(own) {
		cookie.Secure, cookie.Path = true, "/"
		thief.client.Jar.SetCookies(own, []*http.Cookie{cookie})
	}
	return &thief
}

// signInAll returns n signed-in callers, one in four an attacker. It adds one with the
// cookies of a session already logged out.
func (s *site) signInAll(t *testing.T, n int) []*caller {
	t.Helper()
	var callers []*caller
	for i := range n {
		callers = append(callers, s.caller(t, i))
	}
	last := s.caller(t, n)
	ghost := s.copyCookiesOf(t, last)
	ghost.refusal = "401 Unauthenticated"
	if p := s.logout(t, last); p.status != http.StatusOK {
		t.Fatalf("logout: %d", p.status)
	}
	return append(callers, ghost)
}
