package app_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// serveForward starts the service with an application that signs users in.
func serveForward(t *testing.T, application http.HandlerFunc, settings map[string]string) *service {
	t.Helper()
	server := httptest.NewServer(application)
	t.Cleanup(server.Close)
	all := map[string]string{"AUTH_MODES": "forward", "AUTH_FORWARD_URL": server.URL}
	maps.Copy(all, settings)
	return newFixture(t).start(t, all)
}

// answering answers every request with the same text.
func answering(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestForwardFollowsPathsIntoNestedAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		user, customer, answer string
		status                 int
	}{
		"better-auth":            {"user.id", "user.dwolla_customer", `{"session":{"id":"s"},"user":{"id":"alice","dwolla_customer":"` + alicesCustomer + `"}}`, http.StatusOK},
		"Ory Kratos":             {"identity.id", "identity.metadata_public.dwolla", `{"active":true,"identity":{"id":"alice","metadata_public":{"dwolla":"` + alicesCustomer + `"}}}`, http.StatusOK},
		"an integer":             {"user.id", "user.c", `{"user":{"id":42,"c":"` + alicesCustomer + `"}}`, http.StatusOK},
		"a JSON Pointer":         {"/data/0/id", "/data/0/my.customer", `{"data":[{"id":"alice","my.customer":"` + alicesCustomer + `"}]}`, http.StatusOK},
		"better-auth signed out": {"user.id", "user.dwolla_customer", `null`, http.StatusUnauthorized},
		"Auth.js v4 signed out":  {"user.id", "user.dwolla_customer", `{}`, http.StatusUnauthorized},
		"null in place of user":  {"user.id", "user.dwolla_customer", `{"user":null}`, http.StatusUnauthorized},
		"null in place of id":    {"sub", "dwolla_customer", `{"sub":null}`, http.StatusUnauthorized},
		"a user without id":      {"user.id", "user.dwolla_customer", `{"user":{"name":"Alice"}}`, http.StatusServiceUnavailable},
		"another answer":         {"sub", "dwolla_customer", `{}`, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveForward(t, answering(c.answer), map[string]string{"AUTH_USER_CLAIM": c.user, "CUSTOMER_CLAIM": c.customer})
			got := s.post(t, map[string]string{"Cookie": "app=alices", "Sec-Fetch-Site": "same-origin"})
			if got.status != c.status {
				t.Errorf("status %d, want %d: %s", got.status, c.status, got.body)
			}
		})
	}
}

// TestApplicationLearnsTheBelievedAddress checks that the application never gets an
// X-Forwarded-For that the caller made up.
func TestApplicationLearnsTheBelievedAddress(t *testing.T) {
	for name, c := range map[string]struct{ trusted, forwarded, want string }{
		"a direct caller":               {"", "", "127.0.0.1"},
		"a caller with made-up header":  {"", "203.0.113.9", "127.0.0.1"},
		"through a proxy":               {"127.0.0.0/8", "203.0.113.7", "203.0.113.7"},
		"made up in front of a proxy":   {"127.0.0.0/8", "203.0.113.9, 203.0.113.7", "203.0.113.7"},
		"unreadable, through a proxy":   {"127.0.0.0/8", "203.0.113.9, unknown", "127.0.0.1"},
		"IPv6 with port, through proxy": {"127.0.0.0/8", "[2001:db8::1]:443", "2001:db8::1"},
	} {
		t.Run(name, func(t *testing.T) {
			application := func(w http.ResponseWriter, r *http.Request) {
				addresses, browser := strings.Join(r.Header["X-Forwarded-For"], " | "), r.UserAgent()
				if addresses != c.want || browser != "Firefox" || r.Header.Get("Forwarded")+r.Header.Get("X-Real-Ip") != "" {
					t.Errorf("the application got %v", r.Header)
				}
				answering(`{"sub":"alice","dwolla_customer":"`+alicesCustomer+`"}`)(w, r)
			}
			s := serveForward(t, application, map[string]string{"TRUSTED_PROXIES": c.trusted})
			header := map[string]string{"Cookie": "app=alices", "Sec-Fetch-Site": "same-origin", "User-Agent": "Firefox", "X-Real-Ip": "203.0.113.9"}
			if c.forwarded != "" {
				header["X-Forwarded-For"] = c.forwarded
			}
			if got := s.post(t, header); got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// The session is bound to one browser, and the answer is cached.
func TestCachedSignInDoesNotServeAnotherBrowser(t *testing.T) {
	application := func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "Firefox" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answering(`{"sub":"alice","dwolla_customer":"`+alicesCustomer+`"}`)(w, r)
	}
	s := serveForward(t, application, map[string]string{"AUTH_FORWARD_CACHE": "5m"})
	for _, c := range []struct {
		browser string
		status  int
	}{{"Firefox", http.StatusOK}, {"curl", http.StatusUnauthorized}, {"Firefox", http.StatusOK}} {
		got := s.post(t, map[string]string{"Cookie": "app=alices", "Sec-Fetch-Site": "same-origin", "User-Agent": c.browser})
		if got.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.browser, got.status, c.status, got.body)
		}
	}
}
