//go:build proxies

package proxies_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// browserAddress is the address of browsers. The proxies connect to
// the service from 127.0.0.1.
const browserAddress = "127.0.0.2"

func TestProxiesPassWhatDropgateNeeds(t *testing.T) {
	for name, proxy := range proxies() {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, proxy)
			b := s.signIn(t)
			t.Run("session cookie", func(t *testing.T) { checkCookie(t, s, b) })
			t.Run("client token", func(t *testing.T) { checkVend(t, s, b) })
			t.Run("client address", func(t *testing.T) { checkAddress(t, s, b) })
			t.Run("large headers", func(t *testing.T) { checkLargeHeaders(t, s, b) })
			t.Run("large bodies", func(t *testing.T) { checkLargeBodies(t, s, b) })
			t.Run("answers", func(t *testing.T) { checkAnswers(t, s, b) })
			t.Run("application", func(t *testing.T) { checkApplication(t, s, b) })
		})
	}
}

// checkCookie checks that the session's cookie arrived as the service set it, and
// that it identifies the user.
func checkCookie(t *testing.T, s *site, b *browser) {
	t.Helper()
	cookie := b.cookies["__Host-dropgate-session"]
	for _, attribute := range []string{"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("the session's cookie is %q, want %s", cookie, attribute)
		}
	}
	got := b.send(t, s.request(t, http.MethodGet, "/dropgate/session", nil))
	if got.status != http.StatusOK || !strings.Contains(got.body, `"id":"alice"`) {
		t.Errorf("GET /session: %d %s, want alice", got.status, got.body)
	}
}

func checkVend(t *testing.T, s *site, b *browser) {
	t.Helper()
	for origin, want := range map[string]int{
		s.url:                     http.StatusOK,
		"https://evil.example":    http.StatusForbidden,
		"https://app.example.com": http.StatusForbidden, // another port
	} {
		r := s.vend(t, `{"action":"customer.read"}`)
		r.Header.Set("Origin", origin)
		got := b.send(t, r)
		if got.status != want {
			t.Errorf("a page of %s gets %d %s, want %d", origin, got.status, got.body, want)
		}
		if got.status == http.StatusOK && !strings.HasPrefix(got.body, `{"token":"`) {
			t.Errorf("the answer is %s, want a token", got.body)
		}
	}
}

// checkAddress checks that the access line has the browser's address, whatever the
// browser writes into the headers for it.
func checkAddress(t *testing.T, s *site, b *browser) {
	t.Helper()
	for _, header := range []string{"", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Client-Ip"} {
		r := s.vend(t, `{"action":"customer.read"}`)
		if header != "" {
			r.Header.Set(header, "203.0.113.9")
		}
		got := b.send(t, r)
		line := s.accessLine(t, got.header.Get("X-Request-Id"))
		if line["client_ip"] != browserAddress {
			t.Errorf("with %q, the access line has client_ip %v, want %s", header, line["client_ip"], browserAddress)
		}
	}
}

// checkLargeHeaders sends 12 KiB of cookies. HTTP/2 carries each cookie for itself,
// HTTP/1.1 all of them in one line.
func checkLargeHeaders(t *testing.T, s *site, b *browser) {
	t.Helper()
	for protocol, client := range map[string]*browser{"HTTP/2": b, "HTTP/1.1": b.overHTTP1(t, s)} {
		r := s.vend(t, `{"action":"customer.read"}`)
		for _, name := range []string{"a", "b", "c"} {
			r.AddCookie(&http.Cookie{Name: name, Value: strings.Repeat(name, 4000)})
		}
		got := client.send(t, r)
		if got.status != http.StatusOK || !strings.HasPrefix(got.protocol, protocol) {
			t.Errorf("12 KiB of cookies over %s: %s %d %s, want 200", protocol, got.protocol, got.status, got.body)
		}
	}
}

func checkLargeBodies(t *testing.T, s *site, b *browser) {
	t.Helper()
	const limit = 64 << 10
	body := func(size int) string {
		const frame = `{"action":"customer.read","other":""}`
		return `{"action":"customer.read","other":"` + strings.Repeat("x", size-len(frame)) + `"}`
	}
	if got := b.send(t, s.vend(t, body(limit))); got.status != http.StatusOK {
		t.Errorf("a body of 64 KiB: %d %s, want 200", got.status, got.body)
	}
	chunked := s.vend(t, body(limit))
	chunked.ContentLength = -1
	if got := b.send(t, chunked); got.status != http.StatusOK {
		t.Errorf("a body of 64 KiB without a length: %d %s, want 200", got.status, got.body)
	}
	got := b.send(t, s.vend(t, body(limit+1)))
	if got.status != http.StatusRequestEntityTooLarge || got.code(t) != "PayloadTooLarge" {
		t.Errorf("a larger body: %d %s, want dropgate's own 413", got.status, got.body)
	}
}

// checkAnswers checks that errors arrive as the service wrote them.
func checkAnswers(t *testing.T, s *site, b *browser) {
	t.Helper()
	stranger := s.newBrowser(t)
	got := stranger.send(t, s.vend(t, `{"action":"customer.read"}`))
	if got.status != http.StatusUnauthorized || got.code(t) != "Unauthenticated" {
		t.Errorf("without a credential: %d %s, want 401 Unauthenticated", got.status, got.body)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Type": "application/json",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	got = b.send(t, s.request(t, http.MethodDelete, "/dropgate/session", nil))
	if got.status != http.StatusMethodNotAllowed || got.code(t) != "MethodNotAllowed" {
		t.Errorf("DELETE /session: %d %s, want dropgate's own 405", got.status, got.body)
	}
}

// checkApplication checks that the application gets every other path, with the
// headers it needs.
func checkApplication(t *testing.T, s *site, b *browser) {
	t.Helper()
	for _, path := range []string{"/", "/account?x=%2F", "/dropgatex/session"} {
		r := s.request(t, http.MethodPost, path, strings.NewReader("amount=1"))
		r.AddCookie(&http.Cookie{Name: "app", Value: "1"})
		got := b.send(t, r)
		var seen struct{ Host, URI, Body, Cookie, Forwarded string }
		if err := json.Unmarshal([]byte(got.body), &seen); err != nil {
			t.Errorf("%s: %d %q, want the application's answer", path, got.status, got.body)
			continue
		}
		if "https://"+seen.Host != s.url || seen.URI != path || seen.Body != "amount=1" ||
			!strings.Contains(seen.Cookie, "app=1") || seen.Forwarded != browserAddress {
			t.Errorf("for %s, the application sees %+v", path, seen)
		}
	}
}

// application echoes the request.
func application(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := json.Marshal(map[string]string{
		"Host": r.Host, "URI": r.RequestURI, "Body": string(body), "Cookie": r.Header.Get("Cookie"),
		"Forwarded": strings.Join(r.Header["X-Forwarded-For"], ", "),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprint(w, string(answer))
}

// vend returns a request for a client token, as the browser library sends it.
func (s *site) vend(t *testing.T, body string) *http.Request {
	t.Helper()
	r := s.request(t, http.MethodPost, "/dropgate/client-tokens", bytes.NewReader([]byte(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("X-Requested-With", "Dwolla-Drop-Ins-Library")
	return r
}
