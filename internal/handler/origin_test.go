package handler_test

import (
	"net/http"
	"strings"
	"testing"
)

const (
	app  = "https://app.example.com"
	evil = "https://evil.example"
	none = "" // no such header
)

// fromPage returns the browser headers of a page.
func fromPage(site, origin string) with {
	return func(r *http.Request) {
		if site != none {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		if origin != none {
			r.Header.Set("Origin", origin)
		}
	}
}

func TestForeignOriginsAreRefusedUnlessAllowed(t *testing.T) {
	alone := newWorld(t)
	shared := newWorld(t, allowedOrigins("https://other.example.com", app))
	for _, row := range []struct {
		site, origin           string
		byHeader, byCookie     bool // vended where no origin is allowed
		sharedHeader, sharedBy bool // and where app is
	}{
		{none, none, true, false, true, false}, // curl sends no origin; with a cookie that is refused
		{none, "OWN", true, true, true, true},
		{none, app, false, false, true, true},
		{none, evil, false, false, false, false},
		{none, "null", false, false, false, false},
		{none, "file://", false, false, false, false},
		{none, "garbage", false, false, false, false},
		{"same-origin", none, true, true, true, true},
		{"same-origin", "OWN", true, true, true, true},
		{"none", none, true, true, true, true},
		{"same-site", none, false, false, false, false},
		{"same-site", "https://www.example.com", false, false, false, false},
		{"same-site", app, false, false, true, true},
		{"cross-site", none, false, false, false, false},
		{"cross-site", "OWN", false, false, false, false},
		{"cross-site", app, false, false, true, true},
		{"cross-site", evil, false, false, false, false},
		{"cross-site", "null", false, false, false, false},
		{"CROSS-SITE", evil, false, false, false, false},
		{"unheard-of", none, false, false, false, false},
	} {
		for _, c := range []struct {
			w    *world
			kind string
			edit with
			want bool
		}{
			{alone, "header", func(*http.Request) {}, row.byHeader},
			{alone, "cookie", inCookie, row.byCookie},
			{shared, "header, app allowed", func(*http.Request) {}, row.sharedHeader},
			{shared, "cookie, app allowed", inCookie, row.sharedBy},
		} {
			origin := strings.ReplaceAll(row.origin, "OWN", c.w.url)
			t.Run(strings.Join([]string{c.kind, row.site, row.origin}, " "), func(t *testing.T) {
				a := c.w.vend(t, alice, `{"action":"customer.read"}`, c.edit, fromPage(row.site, origin))
				if c.want {
					a.vended(t, c.w.filled(sentRead))
				} else {
					a.refused(t, http.StatusForbidden, "CrossOriginRequest")
				}
			})
		}
	}
}

func TestOriginsMatchExactly(t *testing.T) {
	w := newWorld(t, allowedOrigins(app, "https://port.example.com:8443", "https://*.wild.example.com"))
	for _, origin := range []string{
		"http://app.example.com", "https://app.example.com:443", "https://app.example.com:8443", "https://app.example.com.",
		"https://app.example.com.evil.example", "https://evil-app.example.com", "https://evil.app.example.com",
		"https://app.example.comevil.example", "https://app.example.co", "https://example.com", "https://app.example.com/",
		"https://user@app.example.com", "https://app.example.com evil", "HTTPS://APP.EXAMPLE.COM", "https://App.example.com",
		"https://port.example.com", "https://port.example.com:84430", "null", "*", "https://*",
		"https://a.wild.example.com", "https://evil.example/.wild.example.com",
	} {
		t.Run(origin, func(t *testing.T) {
			a := w.vend(t, alice, `{"action":"customer.read"}`, fromPage("cross-site", origin))
			a.refused(t, http.StatusForbidden, "CrossOriginRequest")
			a.readableBy(t, none)
			a = w.get(t, alice, "/session", fromPage("cross-site", origin))
			a.readableBy(t, none)
			a = w.preflight(t, "/session", origin)
			a.readableBy(t, none)
		})
	}
}

// preflight asks whether a page may send a JSON request with a token.
func (w *world) preflight(t *testing.T, path, origin string) answer {
	t.Helper()
	return w.do(t, w.request(nobody, http.MethodOptions, path, fromPage("cross-site", origin),
		header("Access-Control-Request-Method", "POST"),
		header("Access-Control-Request-Headers", "authorization,content-type,x-requested-with")))
}

// readableBy fails t unless only pages of that origin may read the response, with
// credentials.
func (a *answer) readableBy(t *testing.T, origin string) {
	t.Helper()
	if got := strings.Join(a.header["Access-Control-Allow-Origin"], "; "); got != origin {
		t.Errorf("%d: Access-Control-Allow-Origin is %q, want %q", a.status, got, origin)
	}
	want := "true"
	if origin == none {
		want = ""
	}
	if got := strings.Join(a.header["Access-Control-Allow-Credentials"], "; "); got != want {
		t.Errorf("%d: Access-Control-Allow-Credentials is %q, want %q", a.status, got, want)
	}
	if got := strings.Join(a.header["Vary"], ", "); !strings.Contains(got, "Origin") {
		t.Errorf("%d: Vary is %q", a.status, got)
	}
}

func TestPreflightNeedsAnAllowedOrigin(t *testing.T) {
	w := newWorld(t, allowedOrigins(app))
	for _, path := range []string{"/client-tokens", "/session"} {
		a := w.preflight(t, path, app)
		a.readableBy(t, app)
		if a.status != http.StatusNoContent || a.body != "" {
			t.Errorf("answer %d %s", a.status, a.body)
		}
		if got := a.header.Get("Access-Control-Allow-Methods"); got != "POST" {
			t.Errorf("Access-Control-Allow-Methods is %q", got)
		}
		if got := a.header.Get("Access-Control-Allow-Headers"); got != "authorization,content-type,x-requested-with" {
			t.Errorf("Access-Control-Allow-Headers is %q", got)
		}
		if got := a.header.Get("Access-Control-Max-Age"); got != "600" {
			t.Errorf("Access-Control-Max-Age is %q", got)
		}
		a = w.preflight(t, path, evil)
		a.readableBy(t, none)
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("a foreign page gets %s: %s", name, a.header[name])
			}
		}
	}
	a := w.do(t, w.request(nobody, http.MethodOptions, "/client-tokens", fromPage("cross-site", app),
		header("Access-Control-Request-Method", "DELETE")))
	a.readableBy(t, none)
	a = w.do(t, w.request(nobody, http.MethodOptions, "/client-tokens", fromPage("cross-site", app),
		header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", "x-forwarded-for")))
	a.readableBy(t, none)
}

func TestAllowedOriginsCannotSendTrustedHeaders(t *testing.T) {
	w := newWorld(t, allowedOrigins(app), func(s *setup) { s.handler.ProxyHeader = "Remote-User" })
	asks := func(lists ...string) answer {
		return w.do(t, w.request(nobody, http.MethodOptions, "/client-tokens", fromPage("cross-site", app),
			header("Access-Control-Request-Method", "POST"), header("Access-Control-Request-Headers", lists...)))
	}
	for _, list := range []string{
		"traceparent,tracestate,baggage", "sentry-trace", "x-datadog-trace-id,x-datadog-parent-id,x-datadog-origin", "newrelic", "x-b3-traceid, b3",
		"authorization,content-type,x-requested-with,x-csrf-token", "X-Amzn-Trace-Id", "x-request-signature-sha-256", "idempotency-key", "",
	} {
		a := asks(list)
		a.readableBy(t, app)
		if got := a.header.Get("Access-Control-Allow-Headers"); got != list {
			t.Errorf("allowed are %q, want %q", got, list)
		}
	}
	for _, name := range []string{
		"x-forwarded-for", "x-forwarded-user", "x-forwarded-anything", "X-Forwarded-Host", "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip",
		"x-client-ip", "x-original-forwarded-for", "x-proxy-secret", "X-PROXY-SECRET", "remote-user", "Remote-User", "x-request-id", "cookie", "host", "origin",
		"sec-fetch-site", "proxy-authorization", "via", "connection", "transfer-encoding", "a b", "x\u212a", "x;y", `"x"`, strings.Repeat("a,", 65) + "a",
	} {
		for _, list := range [][]string{{name}, {"traceparent, " + name}, {name + " ,traceparent"}, {"traceparent", name}} {
			a := asks(list...)
			a.readableBy(t, none)
			if got := a.header["Access-Control-Allow-Headers"]; got != nil {
				t.Errorf("%q: allowed are %q", list, got)
			}
		}
	}
}

func TestPreflightAllowsTheRoutesMethods(t *testing.T) {
	w := newWorld(t, allowedOrigins(app))
	for method, allowed := range map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": false, "PATCH": false, "TRACE": false} {
		a := w.do(t, w.request(nobody, http.MethodOptions, "/session", fromPage("cross-site", app), header("Access-Control-Request-Method", method)))
		if got := a.header.Get("Access-Control-Allow-Origin") == app; got != allowed {
			t.Errorf("%s: allowed is %t, want %t", method, got, allowed)
		}
	}
}

func TestAllowedMobileShellsGetTokens(t *testing.T) {
	shells := []string{"capacitor://localhost", "ionic://localhost", "tauri://localhost", "http://localhost", "https://tauri.localhost"}
	w := newWorld(t, allowedOrigins(shells...), withSignIn())
	for _, shell := range shells {
		for _, site := range []string{none, "cross-site", "same-site"} {
			for _, how := range []with{inCookie, func(*http.Request) {}} {
				a := w.vend(t, alice, `{"action":"customer.read"}`, how, fromPage(site, shell))
				a.vended(t, w.filled(sentRead))
				a.readableBy(t, shell)
				a = w.get(t, alice, "/session", how, fromPage(site, shell))
				if a.status != http.StatusOK {
					t.Errorf("%s: answer %d", shell, a.status)
				}
				a.readableBy(t, shell)
			}
		}
		a := w.preflight(t, "/client-tokens", shell)
		a.readableBy(t, shell)
		b := w.browser(t)
		b.signIn(alice, shell+"/home?x#y")
		b.isSignedIn(alice)
	}
	for _, other := range []string{"capacitor://evil", "ionic://localhost:1", "tauri://localhost.", "capacitor://", "capacitor:localhost", "file://", "null", "https://localhost", "CAPACITOR://localhost"} {
		a := w.vend(t, alice, `{"action":"customer.read"}`, inCookie, fromPage("cross-site", other))
		a.refused(t, http.StatusForbidden, "CrossOriginRequest")
		a.readableBy(t, none)
	}
}

// everyKind are requests for answers of every status, for a world with
// directory everyKindOfUser.
func everyKind(w *world) map[int]*http.Request {
	post := func(user, content string, edits ...with) *http.Request {
		return w.request(user, http.MethodPost, "/client-tokens", append([]with{body(content)}, edits...)...)
	}
	return map[int]*http.Request{
		200: post(alice, `{"action":"customer.read"}`),
		400: post(alice, `{}`),
		401: post(nobody, `{"action":"customer.read"}`),
		403: post(alice, `{"action":"customer.transfers.send"}`),
		404: w.request(alice, http.MethodGet, "/nowhere"),
		405: w.request(alice, http.MethodGet, "/client-tokens"),
		409: post(carol, `{"action":"customer.read"}`),
		413: post(alice, strings.Repeat(" ", 70_000)),
		415: post(alice, `{}`, header("Content-Type", "text/plain")),
		500: post(panicking, `{"action":"customer.read"}`),
		503: post(mallory, `{"action":"customer.read"}`),
	}
}

func TestAllowedOriginsReadEveryResponse(t *testing.T) {
	w := newWorld(t, allowedOrigins(app), everyKindOfUser)
	for status, r := range everyKind(w) {
		fromPage("cross-site", app)(r)
		a := w.do(t, r)
		if a.status != status {
			t.Errorf("answer %d, want %d", a.status, status)
		}
		a.readableBy(t, app)
		exposed := a.header.Get("Access-Control-Expose-Headers")
		if !strings.Contains(exposed, "X-Request-Id") || !strings.Contains(exposed, "Retry-After") {
			t.Errorf("%d: Access-Control-Expose-Headers is %q", status, exposed)
		}
	}
	for status, r := range everyKind(w) {
		fromPage("cross-site", evil)(r)
		a := w.do(t, r)
		if want := map[bool]int{true: http.StatusForbidden, false: status}[r.Method == http.MethodPost]; a.status != want {
			t.Errorf("answer %d, want %d", a.status, want)
		}
		a.readableBy(t, none)
	}
}

func TestNoAllowedOriginsMeansNoCORSHeaders(t *testing.T) {
	w := newWorld(t, everyKindOfUser)
	requests := everyKind(w)
	for _, origin := range []string{app, none, "null"} {
		for status, r := range everyKind(w) {
			fromPage(none, origin)(r)
			requests[status+1000*len(origin)] = r
		}
	}
	requests[0] = w.request(nobody, http.MethodOptions, "/client-tokens", fromPage("cross-site", app),
		header("Access-Control-Request-Method", "POST"))
	for _, r := range requests {
		a := w.do(t, r)
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control") || name == "Vary" {
				t.Errorf("%d has %s: %s", a.status, name, a.header[name])
			}
		}
	}
	a := w.do(t, requests[0])
	a.refused(t, http.StatusMethodNotAllowed, "MethodNotAllowed")
}
