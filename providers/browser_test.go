package providers_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// appOrigin is where browsers reach the service.
const appOrigin = "https://app.example.com"

// oidcSettings are the settings of every sign-in that the documentation does not repeat.
func oidcSettings() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return `
		AUTH_MODES=oidc
		PUBLIC_URL=` + appOrigin + `
		SESSION_STORE=memory
		SESSION_KEYS=` + base64.StdEncoding.EncodeToString(key) + "\n"
}

// browser keeps cookies and follows redirects.
type browser struct {
	t    *testing.T
	http *http.Client
}

// pageOf is what a browser shows in the end.
type pageOf struct {
	url    *url.URL
	status int
	text   string
}

func newBrowser(t *testing.T, s *service, world *internet) *browser {
	t.Helper()
	jar := must(cookiejar.New(nil))
	proxy := must(url.Parse(world.proxy))
	outside := &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme == "http" {
			return nil, nil //nolint:nilnil // software on this machine needs no proxy
		}
		return proxy, nil
	}}
	t.Cleanup(outside.CloseIdleConnections)
	return &browser{t, &http.Client{
		Jar: jar, Timeout: time.Minute,
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme+"://"+r.URL.Host != appOrigin {
				return outside.RoundTrip(r)
			}
			inner := r.Clone(r.Context())
			inner.URL.Scheme, inner.URL.Host, inner.Host = "http", s.PublicAddr(), r.URL.Host
			resp, err := outside.RoundTrip(inner)
			if resp != nil {
				resp.Request = r
			}
			return resp, err
		}),
	}}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// open goes to a page, as by a link. It follows redirects, also those of a page's head.
func (b *browser) open(address string) pageOf {
	b.t.Helper()
	page := b.send(http.MethodGet, address, nil)
	if strings.Contains(page.text, `http-equiv="refresh" content="0"`) {
		page = b.send(http.MethodGet, page.url.String(), nil)
	}
	return page
}

// send sends a request as a page of the address's own origin does.
func (b *browser) send(method, address string, form url.Values) pageOf {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if method != http.MethodGet {
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return pageOf{resp.Request.URL, resp.StatusCode, string(text)}
}

// signIn begins a sign-in until the service knows its provider, and returns the last page.
func (b *browser) signIn(parameters url.Values) pageOf {
	b.t.Helper()
	return b.open(appOrigin + "/auth/login?" + parameters.Encode())
}

// user returns the user and the Customer of the browser's session, or two empty texts.
func (b *browser) user() (id, href string) {
	b.t.Helper()
	page := b.send(http.MethodGet, appOrigin+"/session", nil)
	var said sessionAnswer
	if page.status == http.StatusUnauthorized {
		return "", ""
	}
	if err := json.Unmarshal([]byte(page.text), &said); err != nil || page.status != http.StatusOK {
		b.t.Fatalf("GET /session: %d %s", page.status, page.text)
	}
	if said.Customer != nil {
		href = said.Customer.Href
	}
	return said.User.ID, href
}

// signOut ends the session, and returns where the provider ends its own.
func (b *browser) signOut() *url.URL {
	b.t.Helper()
	page := b.send(http.MethodPost, appOrigin+"/auth/logout", nil)
	var said struct{ EndSessionURL string }
	if err := json.Unmarshal([]byte(page.text), &said); err != nil || page.status != http.StatusOK {
		b.t.Fatalf("POST /auth/logout: %d %s", page.status, page.text)
	}
	return must(url.Parse(said.EndSessionURL))
}

var formField = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)"`)

// submit sends the hidden fields of a page's form, and further ones.
func (b *browser) submit(page pageOf, action string, more url.Values) pageOf {
	b.t.Helper()
	fields := url.Values{}
	for _, field := range formField.FindAllStringSubmatch(page.text, -1) {
		fields.Set(field[1], field[2])
	}
	for name := range more {
		fields.Set(name, more.Get(name))
	}
	return b.send(http.MethodPost, must(page.url.Parse(action)).String(), fields)
}
