package handler_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/customer/customerdb"
)

// sessionOf reads the answer of GET /session.
func sessionOf(t *testing.T, a answer) map[string]any {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("answer %d of type %s: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	if a.calls != 0 {
		t.Errorf("Dwolla was called %d times", a.calls)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSessionShowsUserAndPageSetup(t *testing.T) {
	w := newWorld(t, policy("dwolla-customer-update", "dwolla-balance-display", "customer.create", "dwolla-customer-create"))
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	token := w.claimed(t, map[string]any{"exp": expires.Unix(), "name": "Alice A.", "email": "alice@example.com"})
	a := w.get(t, nobody, "/session", header("Authorization", "Bearer "+token))
	want := map[string]any{
		"user":        map[string]any{"id": alice, "name": "Alice A.", "email": "alice@example.com"},
		"customer":    map[string]any{"id": alicesID, "href": w.root + "/customers/" + alicesID},
		"environment": "sandbox",
		"actions":     []any{"customer.create", "customer.read", "customer.update", "customer.fundingsources.read"},
		"components":  []any{"dwolla-customer-create", "dwolla-customer-update", "dwolla-balance-display"},
		"expiresAt":   expires.UTC().Format(time.RFC3339),
	}
	if diff := cmp.Diff(want, sessionOf(t, a)); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	a.access.has(t, accessLine{Method: "GET", Route: "/session", Mode: "bearer", User: alice})
}

func TestSessionWithoutCustomer(t *testing.T) {
	w := newWorld(t, policy("customer.read"))
	got := sessionOf(t, w.get(t, carol, "/session"))
	if _, present := got["expiresAt"]; !present {
		t.Error("no expiresAt")
	}
	delete(got, "expiresAt")
	want := map[string]any{
		"user":        map[string]any{"id": carol},
		"customer":    nil,
		"environment": "sandbox",
		"actions":     []any{"customer.read"},
		"components":  []any{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
}

func TestSessionOmitsClaimsOfOtherTypes(t *testing.T) {
	w := newWorld(t)
	got := sessionOf(t, w.get(t, bob, "/session"))
	if diff := cmp.Diff(map[string]any{"id": bob}, got["user"]); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
}

func TestSessionNeedsNoOriginAndIsNeverExtended(t *testing.T) {
	w := newWorld(t)
	first := sessionOf(t, w.get(t, alice, "/session", inCookie))
	token := w.token(alice)
	for range 3 { // the harness checks the missing Set-Cookie
		a := w.get(t, nobody, "/session", header("Cookie", cookieName+"="+token))
		if diff := cmp.Diff(first["user"], sessionOf(t, a)["user"]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSessionIsUnavailableWhileTheDirectoryIsDown(t *testing.T) {
	w := newWorld(t, fromSQLite(t, func(s *customerdb.Database) { _ = s.Close() }))
	a := w.get(t, alice, "/session")
	a.refused(t, http.StatusServiceUnavailable, "Unavailable")
	if a.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	a.access.has(t, accessLine{User: alice, Code: "Unavailable"})
	a = w.get(t, nobody, "/session")
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
}

func TestHeadMatchesGetWithoutBody(t *testing.T) {
	w := newWorld(t, withSignIn(), allowedOrigins(app))
	for path, user := range map[string]string{
		"/session": alice, "/session?x": nobody, "/openapi.yaml": nobody, "/auth/login": nobody, "/nothing": nobody, "/client-tokens": alice,
	} {
		got := w.get(t, user, path, fromPage("cross-site", app))
		head := w.do(t, w.request(user, http.MethodHead, path, fromPage("cross-site", app)))
		if head.status != got.status || head.body != "" {
			t.Errorf("HEAD %s: %d with %q, want %d", path, head.status, head.body, got.status)
		}
		for name := range got.header {
			same := slices.Equal(head.header[name], got.header[name])
			if each := slices.Contains([]string{"X-Request-Id", "Date", "Set-Cookie", "Location", "Content-Length"}, name); !same && !each {
				t.Errorf("HEAD %s: %s is %q, want %q", path, name, head.header[name], got.header[name])
			}
		}
	}
	size := w.get(t, nobody, "/openapi.yaml").header.Get("Content-Length")
	if head := w.do(t, w.request(nobody, http.MethodHead, "/openapi.yaml")); size == "" || head.header.Get("Content-Length") != size {
		t.Errorf("HEAD /openapi.yaml: %q bytes, want %q", head.header.Get("Content-Length"), size)
	}
	resp, err := w.client.Do(w.request(nobody, http.MethodHead, "/auth/callback")) // responds with a page
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HEAD /auth/callback: %d", resp.StatusCode)
	}
}

func TestHeadIsChargedToTheUser(t *testing.T) {
	w := newWorld(t, limits(9, 0))
	for range 9 {
		if a := w.do(t, w.request(alice, http.MethodHead, "/session", inCookie)); a.status != http.StatusOK {
			t.Fatalf("answer %d", a.status)
		}
	}
	if a := w.do(t, w.request(alice, http.MethodHead, "/session", inCookie)); a.status != http.StatusTooManyRequests {
		t.Errorf("answer %d, want 429", a.status)
	}
}

// TestForeignPageCannotUseUpTheRateLimit covers the limits of the user and of the
// address.
func TestForeignPageCannotUseUpTheRateLimit(t *testing.T) {
	image := func(r *http.Request) {
		fromPage("cross-site", none)(r)
		r.Header.Set("Sec-Fetch-Mode", "no-cors")
		r.Header.Set("Sec-Fetch-Dest", "image")
	}
	frame := func(r *http.Request) {
		fromPage("cross-site", none)(r)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "iframe")
	}
	subdomain := func(r *http.Request) {
		image(r)
		r.Header.Set("Sec-Fetch-Site", "same-site")
	}
	w := newWorld(t, withSignIn(), limits(9, 9), allowedOrigins(app))
	for name, page := range map[string]with{
		"an image": image, "a frame": frame, "an image of a subdomain": subdomain,
		"a script of the site": fromPage("cross-site", evil), "an old browser's script": fromPage(none, evil), "a sandboxed page": fromPage(none, "null"),
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				w.refusesPage(t, http.MethodGet, page)
				w.refusesPage(t, http.MethodHead, page)
			}
		})
	}
	for range 9 {
		for _, page := range []with{image, frame} {
			contract, login := w.get(t, nobody, "/openapi.yaml", page), w.get(t, nobody, "/auth/login", page)
			contract.refused(t, http.StatusForbidden, "CrossOriginRequest")
			login.refused(t, http.StatusForbidden, "CrossOriginRequest")
			callback := w.get(t, nobody, "/auth/callback?code=x&state=y", page)
			callback.refused(t, http.StatusForbidden, "CrossOriginRequest")
		}
	}
	for i, page := range []with{
		fromPage(none, none), fromPage("same-origin", none), fromPage("none", none), fromPage("cross-site", app), fromPage("same-site", app), fromPage(none, app), fromPage(none, w.url),
	} {
		if a := w.get(t, alice, "/session", inCookie, page); a.status != http.StatusOK {
			t.Errorf("page %d: answer %d, want 200", i, a.status)
		}
	}
}

// refusesPage fails t if a foreign page can read /session.
func (w *world) refusesPage(t *testing.T, method string, page with) {
	t.Helper()
	a := w.do(t, w.request(alice, method, "/session", inCookie, page))
	if a.status != http.StatusForbidden {
		t.Errorf("%s: answer %d, want 403", method, a.status)
	}
	a.readableBy(t, none)
}

func TestForeignLinkLeadsToTheSignIn(t *testing.T) {
	w := newWorld(t, withSignIn())
	link := func(r *http.Request) {
		fromPage("cross-site", none)(r)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
	}
	for path, status := range map[string]int{"/auth/login": http.StatusSeeOther, "/openapi.yaml": http.StatusOK} {
		if a := w.get(t, nobody, path, link); a.status != status {
			t.Errorf("%s: answer %d, want %d", path, a.status, status)
		}
	}
}
