package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// replacing signs alice in and replaces her cookie app=N by app=N+1 each time.
func replacing(w http.ResponseWriter, r *http.Request) {
	var n int
	if cookie, err := r.Cookie("app"); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	} else if _, err := fmt.Sscanf(cookie.Value, "secret-%d", &n); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Add("Set-Cookie", fmt.Sprintf("app=secret-%d; Path=/; HttpOnly; Secure", n+1))
	w.Header().Add("Set-Cookie", "__Host-dropgate-session=forged; Path=/; Secure")
	w.Header().Add("Set-Cookie", "theme=dark")
	answering(`{"sub":"alice","dwolla_customer":"`+alicesCustomer+`"}`)(w, r)
}

func TestReplacedCookieGoesBackToItsBrowser(t *testing.T) {
	for setting, want := range map[string][]string{"app": {"app=secret-2; Path=/; HttpOnly; Secure"}, "": nil, "other": nil} {
		t.Run("names: "+setting, func(t *testing.T) {
			s := serveForward(t, replacing, map[string]string{"AUTH_FORWARD_SET_COOKIE": setting})
			for call, want := range [][]string{want, nil} { // asked, then from the cache
				got := s.post(t, map[string]string{"Cookie": "app=secret-1", "Sec-Fetch-Site": "same-origin"})
				if got.status != http.StatusOK || !slices.Equal(got.header["Set-Cookie"], want) {
					t.Errorf("request %d: status %d, cookies %q, want %q", call, got.status, got.header["Set-Cookie"], want)
				}
			}
			if strings.Contains(s.logs.String(), "secret-") {
				t.Error("a cookie is in the log")
			}
		})
	}
}

// The application has replaced the cookie before the service refuses the request.
func TestRefusedRequestKeepsReplacedCookie(t *testing.T) {
	const limit = 25
	var calls atomic.Int64
	application := func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		replacing(w, r)
	}
	s := serveForward(t, application, map[string]string{"AUTH_FORWARD_SET_COOKIE": "app", "RATE_LIMIT_USER": fmt.Sprintf("%d/24h", limit)})
	post := func(n int, site string) answer {
		header := map[string]string{"Cookie": fmt.Sprintf("app=secret-%d", n)}
		if site != "" {
			header["Sec-Fetch-Site"] = site
		}
		return s.post(t, header)
	}
	for n, c := range []struct {
		site   string
		status int
	}{{"same-origin", http.StatusOK}, {"", http.StatusForbidden}} {
		got := post(n, c.site)
		if want := fmt.Sprintf("app=secret-%d;", n+1); got.status != c.status || !strings.HasPrefix(got.header.Get("Set-Cookie"), want) {
			t.Errorf("from %q: status %d, want %d; cookies %q, want %s", c.site, got.status, c.status, got.header["Set-Cookie"], want)
		}
	}
	for n := 2; n < limit; n++ {
		post(n, "same-origin")
	}
	over := post(limit, "same-origin")
	if over.status != http.StatusTooManyRequests || !strings.HasPrefix(over.header.Get("Set-Cookie"), "app=secret-26;") || calls.Load() != limit+1 {
		t.Errorf("over the limit: status %d, cookies %q after %d calls", over.status, over.header["Set-Cookie"], calls.Load())
	}
}
