package auth_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

// from is the address of all callers.
func from(address string) func(*auth.ForwardConfig) {
	return func(f *auth.ForwardConfig) { f.ClientAddress = func(*http.Request) string { return address } }
}

// fromHeader takes the caller's address from a header of the test.
func fromHeader(f *auth.ForwardConfig) {
	f.ClientAddress = func(r *http.Request) string { return r.Header.Get("Test-Address") }
}

// by is alice's session, from a browser and an address.
func by(browser, address string) http.Header {
	return http.Header{"Cookie": {appSession}, "User-Agent": {browser}, "Test-Address": {address}}
}

// bound knows alice's session from one browser at one address.
func bound(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("User-Agent") != "Firefox" || r.Header.Get("X-Forwarded-For") != "203.0.113.7" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	document(object{"sub": "alice"})(w, r)
}

func TestStolenCookieFindsNoCachedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(page(bound))
		forward := forwardMode(app, fromHeader)
		for _, c := range []struct {
			name            string
			browser, caller string
			want            string
			calls           int
		}{
			{"alice", "Firefox", "203.0.113.7", aliceCookie, 1},
			{"alice again", "Firefox", "203.0.113.7", aliceCookie, 1},
			{"another browser", "curl", "203.0.113.7", refused, 2},
			{"another address", "Firefox", "203.0.113.8", refused, 3},
			{"no browser", "", "203.0.113.7", refused, 4},
			{"no address", "Firefox", "", refused, 5},
			{"the address in the browser's name", "Firefox203.0.113.7", "", refused, 6},
			{"alice after the others", "Firefox", "203.0.113.7", aliceCookie, 6},
		} {
			got := verdict(forward.Authenticate(request(t.Context(), by(c.browser, c.caller)), nil))
			if got != c.want || app.calls() != c.calls {
				t.Errorf("%s: %s after %d calls, want %s after %d", c.name, got, app.calls(), c.want, c.calls)
			}
		}
	})
}

// The cookie is beside a bearer token of the same user.
func TestSecondCredentialKeepsBrowserAndAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		app.answers(page(bound))
		chain := auth.NewChain(prometheus.NewRegistry(), &fakeMode{name: "first", user: "bob"}, forwardMode(app, fromHeader))
		for _, c := range []struct{ browser, want string }{{"curl", "accepted bob"}, {"Firefox", refused}} {
			if got := verdict(chain.Authenticate(request(t.Context(), by(c.browser, "203.0.113.7")), nil)); got != c.want {
				t.Errorf("%s: %s, want %s", c.browser, got, c.want)
			}
		}
	})
}

func TestUnknownAddressIsNotSent(t *testing.T) {
	for name, address := range map[string]string{"none": "", "a name": "localhost", "two": "203.0.113.7, 203.0.113.8", "a line break": "203.0.113.7\r\nCookie: a=b"} {
		runSynctest(t, name, func(t *testing.T) {
			app := newApplication()
			if got := verdict(forwardMode(app, from(address)).Authenticate(request(t.Context(), inSession(appSession)), nil)); got != aliceCookie {
				t.Fatal(got)
			}
			checkQuestion(t, app.asked[0], http.Header{"Cookie": {appSession}, "Accept": {"application/json"}, "User-Agent": {""}})
		})
	}
}
