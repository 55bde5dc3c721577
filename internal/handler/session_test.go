package handler_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/customer"
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

func TestSessionTellsWhoIsSignedInAndWhatAPageNeeds(t *testing.T) {
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
	a.access.has(t, line{"method": "GET", "route": "/session", "mode": "bearer", "user": alice})
}

func TestSessionOfAUserWithoutACustomer(t *testing.T) {
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

func TestSessionLeavesOutAClaimThatIsNoText(t *testing.T) {
	w := newWorld(t)
	got := sessionOf(t, w.get(t, bob, "/session"))
	if diff := cmp.Diff(map[string]any{"id": bob}, got["user"]); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
}

func TestSessionByCookieNeedsNoOriginAndIsNeverExtended(t *testing.T) {
	w := newWorld(t)
	first := sessionOf(t, w.get(t, alice, "/session", inCookie))
	token := w.token(alice)
	for range 3 { // that no answer sets a cookie is checked with every answer
		a := w.get(t, nobody, "/session", header("Cookie", cookieName+"="+token))
		if diff := cmp.Diff(first["user"], sessionOf(t, a)["user"]); diff != "" {
			t.Error(diff)
		}
	}
	a := w.get(t, alice, "/session", inCookie, fromPage("cross-site", evil))
	sessionOf(t, a)
	if a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another site's page may read it")
	}
}

func TestSessionIsUnavailableWhileTheDirectoryIsDown(t *testing.T) {
	w := newWorld(t, fromSQLite(t, func(s *customer.Database) { _ = s.Close() }))
	a := w.get(t, alice, "/session")
	a.refused(t, http.StatusServiceUnavailable, "Unavailable")
	if a.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	a.access.has(t, line{"user": alice, "code": "Unavailable"})
	a = w.get(t, nobody, "/session")
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
}

func TestHeadIsNotAnsweredAndHasNoBody(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/session", "/openapi.yaml"} {
		a := w.do(t, w.request(alice, http.MethodHead, path))
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET" || a.body != "" {
			t.Errorf("HEAD %s: %d, Allow %q, body %q", path, a.status, a.header.Get("Allow"), a.body)
		}
	}
}
