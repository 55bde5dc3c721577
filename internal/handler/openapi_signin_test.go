package handler_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// visitor returns a browser for the service of the contract and its provider.
func (c contract) visitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: byHost{c}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// byHost is a transport to the provider without a socket.
type byHost struct{ c contract }

func (n byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.String(), contractIssuer) {
		return n.c.provider.Transport().RoundTrip(r)
	}
	return n.c.server.Client().Transport.RoundTrip(r)
}

// open opens an address of the service, and returns where the visitor is sent. A
// page that loads itself again is loaded again.
func (c contract) open(t *testing.T, visitor *http.Client, address string) string {
	t.Helper()
	status, next := c.visit(t, visitor, address)
	if status == http.StatusOK {
		status, next = c.visit(t, visitor, address)
	}
	if status != http.StatusSeeOther {
		t.Fatalf("%s: answer %d", address, status)
	}
	return next
}

// visit opens an address. It returns the status and where the visitor is sent.
func (c contract) visit(t *testing.T, visitor *http.Client, address string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := visitor.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// backFromProvider prepares the first callback of a good sign-in.
func backFromProvider(t *testing.T, c contract) with {
	t.Helper()
	visitor := c.visitor(t)
	return c.callback(visitor, c.passProvider(t, visitor))
}

// landed prepares the callback that the page of the first one loads.
func landed(t *testing.T, c contract) with {
	t.Helper()
	visitor := c.visitor(t)
	back := c.passProvider(t, visitor)
	if status, _ := c.visit(t, visitor, back); status != http.StatusOK {
		t.Fatalf("%s: answer %d", back, status)
	}
	return c.callback(visitor, back)
}

// passProvider begins a sign-in and returns the address of its callback.
func (c contract) passProvider(t *testing.T, visitor *http.Client) string {
	t.Helper()
	provider := c.open(t, visitor, c.server.URL+"/auth/login")
	return passProvider(t, visitor, provider, url.Values{"user": {"alice"}}, c.server.URL)
}

// callback is the edit of a request to the callback, with the visitor's cookies.
func (c contract) callback(visitor *http.Client, back string) with {
	return func(r *http.Request) {
		_, r.URL.RawQuery, _ = strings.Cut(back, "?")
		for _, cookie := range visitor.Jar.Cookies(r.URL) {
			r.AddCookie(cookie)
		}
	}
}

// withSession prepares a request of a page of the service's own.
func withSession(t *testing.T, c contract) with {
	t.Helper()
	visitor := c.visitor(t)
	c.open(t, visitor, c.passProvider(t, visitor))
	return func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		for _, cookie := range visitor.Jar.Cookies(r.URL) {
			r.AddCookie(cookie)
		}
	}
}

// withLogoutToken prepares a request of the provider's.
func withLogoutToken(t *testing.T, c contract) with {
	t.Helper()
	token, err := c.provider.LogoutToken(oidcClient, "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	content := url.Values{"logout_token": {token}}.Encode()
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), int64(len(content))
	}
}

func panics(context.Context, string) error { panic("the store panics") }

func oddly(context.Context, string) error { return errors.New("a fault of no known kind") }

// manyBadWebhooks makes c.hammered refuse webhooks and logout tokens of this address.
func manyBadWebhooks(t *testing.T, c contract) with {
	t.Helper()
	for status := 0; status != http.StatusTooManyRequests; {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.hammered.URL+"/webhooks/dwolla", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.hammered.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if status = resp.StatusCode; status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
			t.Fatalf("a bad webhook gets %d", status)
		}
	}
	return func(*http.Request) {}
}

// signInExchanges provoke every documented response to signing in and out.
func signInExchanges(c contract) []exchange {
	html := http.Header{"Accept": {"text/html"}}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	own := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	foreign := http.Header{"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	const login, callback, logout, backChannel = "/auth/login", "/auth/callback", "/auth/logout", "/auth/backchannel-logout"
	get, post := http.MethodGet, http.MethodPost
	return []exchange{
		{method: get, path: login, want: "303"},
		{method: get, path: login, header: asImage(), want: "403 CrossOriginRequest"},
		{method: get, path: login + "?return_to=/x", header: html, want: "303"},
		{method: get, path: login, server: c.hammered, want: "429 TooManyRequests"},
		{method: get, path: login, server: c.hammered, header: html, want: "429 page"},
		{method: get, path: callback, server: c.hammered, want: "429 page"},
		{method: post, path: logout, server: c.hammered, header: own, want: "429 TooManyRequests"},
		{method: get, path: "/session", server: c.hammered, want: "429 TooManyRequests"},
		{method: post, path: "/session", server: c.hammered, want: "429 TooManyRequests"},
		{method: post, path: "/session", prepare: withSession, want: "200"},
		{method: post, path: "/session", prepare: withSession, mishap: down, want: "503 Unavailable"},
		{method: get, path: "/openapi.yaml", server: c.hammered, want: "429 TooManyRequests"},
		{method: get, path: login + "?login_hint=a&login_hint=b", want: "400 BadRequest"},
		{method: get, path: login, server: c.hammered, want: "429 TooManyRequests"},
		{method: get, path: login, server: c.hammered, header: html, want: "429 page"},
		{method: get, path: callback, server: c.hammered, want: "429 page"},
		{method: post, path: logout, server: c.hammered, header: own, want: "429 TooManyRequests"},
		{method: get, path: "/session", server: c.hammered, want: "429 TooManyRequests"},
		{method: get, path: "/openapi.yaml", server: c.hammered, want: "429 TooManyRequests"},
		{method: get, path: login + "?login_hint=a&login_hint=b", header: html, want: "400 page"},
		{method: get, path: login, server: c.broken, want: "500 ServerError"},
		{method: get, path: login, server: c.alone, want: "503 Unavailable"},
		{method: get, path: login, server: c.alone, header: html, want: "503 page"},

		{method: get, path: callback, prepare: backFromProvider, want: "200"},
		{method: get, path: callback, prepare: landed, want: "303"},
		{method: get, path: callback, want: "400 page"},
		{method: get, path: callback, header: asImage(), want: "403 CrossOriginRequest"},
		{method: get, path: callback + "?state=x&error=access_denied", header: html, want: "400 page"},
		{method: get, path: callback, prepare: landed, mishap: panics, want: "500 ServerError"},
		{method: get, path: callback, prepare: landed, mishap: oddly, want: "500 page"},
		{method: get, path: callback, prepare: landed, mishap: down, want: "503 page"},

		{
			method: post, path: "/webhooks/dwolla", server: c.hammered, prepare: manyBadWebhooks, want: "429 TooManyRequests",
			header: http.Header{"Content-Type": {"application/json"}}, body: `{"id":"1","topic":"customer_verified","created":"2019-05-30T18:21:11.490Z"}`,
		},
		{method: post, path: logout, prepare: withSession, want: "200"},
		{method: post, path: logout + "?everywhere=true", prepare: withSession, want: "200"},
		{method: post, path: logout + "?everywhere=true", prepare: withSession, mishap: down, want: "503 Unavailable"},
		{method: post, path: logout + "?everywhere=1", header: own, want: "400 BadRequest"},
		{method: post, path: logout, header: own, want: "200"},
		{method: post, path: logout, server: c.alone, header: own, want: "200"},
		{method: post, path: logout, header: foreign, want: "403 CrossOriginRequest"},
		{method: post, path: logout, want: "403 CrossOriginRequest"},
		{method: post, path: logout, prepare: withSession, mishap: panics, want: "500 ServerError"},
		{method: post, path: logout, prepare: withSession, mishap: down, want: "503 Unavailable"},

		{method: post, path: backChannel, header: form, prepare: withLogoutToken, want: "200"},
		{method: post, path: backChannel, header: form, want: "400 BadRequest"},
		{method: post, path: backChannel, header: form, body: "logout_token=", want: "400 BadRequest"},
		{method: post, path: backChannel, header: form, body: "logout_token=x", want: "400 BadRequest"},
		{method: post, path: backChannel, header: form, body: "%zz", want: "400 BadRequest"},
		{method: post, path: backChannel, header: foreign, prepare: withLogoutToken, want: "403 CrossOriginRequest"},
		{method: post, path: backChannel, header: form, body: "logout_token=" + strings.Repeat("x", 64<<10), want: "413 PayloadTooLarge"},
		{method: post, path: backChannel, header: http.Header{"Content-Type": {"application/json"}}, body: `{}`, want: "415 UnsupportedMediaType"},
		{method: post, path: backChannel, header: form, body: "logout_token=x", server: c.hammered, prepare: manyBadWebhooks, want: "429 TooManyRequests"},
		{method: post, path: backChannel, header: form, prepare: withLogoutToken, mishap: panics, want: "500 ServerError"},
		{method: post, path: backChannel, header: form, prepare: withLogoutToken, mishap: down, want: "503 Unavailable"},
	}
}
