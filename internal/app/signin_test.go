package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/clienttoken"
)

const webSecret = "the-very-secret-of-the-client"

// site is the service as browsers meet it: replicas behind a proxy that ends
// TLS and gives each the next request.
type site struct {
	*httptest.Server

	world    *world
	replicas []*service
}

// newSite starts replicas that sign users in.
func newSite(t *testing.T, replicas int, changes map[string]string) *site {
	t.Helper()
	s := &site{world: newWorld(t)}
	var next atomic.Uint64
	s.Server = httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		replica := s.replicas[int(next.Add(1))%len(s.replicas)]
		r.SetURL(&url.URL{Scheme: "http", Host: replica.PublicAddr()})
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(s.Close)
	settings := oidc(map[string]string{
		"AUTH_OIDC_ISSUER": s.world.settings["AUTH_BEARER_ISSUER"],
		"PUBLIC_URL":       s.URL,
		"BASE_PATH":        "/dropgate",
	})
	maps.Copy(settings, changes)
	for range replicas {
		s.replicas = append(s.replicas, s.world.start(t, settings))
	}
	client := oidctest.Client(s.URL + "/dropgate")
	client.Secret = clienttoken.NewSecret(webSecret)
	client.BackChannelLogoutURI = "http://" + s.replicas[0].PublicAddr() + "/dropgate/auth/backchannel-logout"
	s.world.provider.AddClient(client)
	return s
}

// redisURL is the server to test with.
func redisURL(t *testing.T) string {
	t.Helper()
	at := os.Getenv("TEST_REDIS_URL")
	if at == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_REDIS_URL is not set")
	} else if at == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	return at
}

// browser is a browser that a person sits at.
type browser struct {
	*http.Client

	t    *testing.T
	site *site
}

func (s *site) browser(t *testing.T) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *s.Client()
	client.Jar = jar
	return browser{&client, t, s}
}

// get opens a page, and returns where the browser ends up and what it shows.
func (b browser) get(at string) (string, string) {
	b.t.Helper()
	return b.do(http.MethodGet, at, "", nil)
}

func (b browser) do(method, at, body string, header http.Header) (string, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.Request.URL.String(), resp.Status[:3] + " " + string(text)
}

// signIn signs alice in.
func (b browser) signIn() {
	b.t.Helper()
	b.signInAs("alice")
}

// signInAs opens the login page and presses a user's button.
func (b browser) signInAs(user string) {
	b.t.Helper()
	_, page := b.get(b.site.URL + "/dropgate/auth/login?return_to=/dropgate/session")
	form, ok := oidctest.Form(page)
	if !ok {
		b.t.Fatalf("no login page: %s", page)
	}
	form.Set("user", user)
	issuer := b.site.world.settings["AUTH_BEARER_ISSUER"]
	at, page := b.do(http.MethodPost, issuer+"/login", form.Encode(),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	if at != b.site.URL+"/dropgate/session" || !strings.HasPrefix(page, `200 {"user":{"id":"`+user+`"`) {
		b.t.Fatalf("after the sign-in the browser is at %s: %s", at, page)
	}
}

// vend asks for a client token as a page of the site does.
func (b browser) vend() string {
	b.t.Helper()
	return b.send(http.MethodPost, "/client-tokens", `{"action":"customer.read"}`)
}

// send makes a request as a page of the site does.
func (b browser) send(method, path, body string) string {
	b.t.Helper()
	_, answer := b.do(method, b.site.URL+"/dropgate"+path, body,
		http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}})
	return answer
}

// logout presses the application's button, and returns where the provider's
// session ends.
func (b browser) logout() string {
	b.t.Helper()
	_, answer := b.do(http.MethodPost, b.site.URL+"/dropgate/auth/logout", "", http.Header{"Sec-Fetch-Site": {"same-origin"}})
	var logout struct{ EndSessionURL string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &logout); err != nil || logout.EndSessionURL == "" {
		b.t.Fatalf("logout: %s", answer)
	}
	return logout.EndSessionURL
}

// logouts are the ways in which a session of alice's ends.
func logouts() map[string]func(t *testing.T, s *site, b browser) {
	return map[string]func(*testing.T, *site, browser){
		"by the application's button": func(_ *testing.T, _ *site, b browser) { b.logout() },
		"at the provider, in the browser": func(t *testing.T, s *site, b browser) {
			t.Helper()
			other := s.browser(t)
			other.signIn()
			b.get(s.world.settings["AUTH_BEARER_ISSUER"] + "/end_session?client_id=dropgate-web")
			if answer := other.vend(); !strings.HasPrefix(answer, "200 ") {
				t.Errorf("another session of the user: %s", answer)
			}
		},
		"by the provider, everywhere": func(t *testing.T, s *site, _ browser) {
			t.Helper()
			if err := s.world.provider.EndUser(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		},
	}
}

// vends fails the test unless each of four requests is answered so: with two
// replicas, each gets some.
func (b browser) vends(what, want string) {
	b.t.Helper()
	for range 4 {
		if answer := b.vend(); !strings.HasPrefix(answer, want) {
			b.t.Errorf("%s: %s, want %s", what, answer, want)
		}
	}
}

// TestSignInVendAndLogoutByEachWay is the whole of it, with each store.
func TestSignInVendAndLogoutByEachWay(t *testing.T) {
	for store, start := range map[string]func(t *testing.T) *site{
		"memory": func(t *testing.T) *site { t.Helper(); return newSite(t, 1, nil) },
		"redis": func(t *testing.T) *site {
			t.Helper()
			return newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": redisURL(t)})
		},
	} {
		for way, logout := range logouts() {
			t.Run(store+" "+way, func(t *testing.T) {
				s := start(t)
				b := s.browser(t)
				b.vends("before the sign-in", "401 ")
				b.signIn()
				b.vends("signed in", `200 {"token":`)
				thief := s.thief(t, b)
				logout(t, s, b)
				b.vends("after the logout", "401 ")
				thief.vends("with a copy of the cookie, after the logout", "401 ")
				for _, replica := range s.replicas {
					if log := replica.logs.String(); strings.Contains(log, webSecret) || strings.Contains(log, "eyJ") {
						t.Error("a secret or a token is in the log")
					}
				}
			})
		}
	}
}

// thief is a browser that holds a copy of b's session cookie.
func (s *site) thief(t *testing.T, b browser) browser {
	t.Helper()
	own, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	thief := s.browser(t)
	for _, cookie := range b.Jar.Cookies(own) {
		if cookie.Name == "__Host-dropgate-session" {
			cookie.Secure, cookie.Path = true, "/"
			thief.Jar.SetCookies(own, []*http.Cookie{cookie})
			return thief
		}
	}
	t.Fatal("the browser has no session cookie")
	return thief
}

func TestLogoutLeadsToTheEndOfTheProvidersSession(t *testing.T) {
	s := newSite(t, 1, nil)
	b := s.browser(t)
	b.signIn()
	// The site has no page at "/".
	if at, _ := b.get(b.logout()); at != s.URL+"/" {
		t.Errorf("the browser is at %s", at)
	}
	if _, page := b.get(s.URL + "/dropgate/auth/login"); !strings.Contains(page, "Sign in as alice") {
		t.Errorf("the provider does not ask who it is: %s", page)
	}
}

// TestReadinessIncludesTheSessionStore because a replica without it can serve
// nobody who signed in.
func TestReadinessIncludesTheSessionStore(t *testing.T) {
	at := redisURL(t)
	for want, url := range map[int]string{http.StatusOK: at, http.StatusServiceUnavailable: "redis://127.0.0.1:1"} {
		s := newSite(t, 1, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": url})
		until(t, fmt.Sprintf("%s: readiness %d", url, want), func() bool {
			got := s.replicas[0].admin(t, "/readyz")
			return got.status == want && !strings.Contains(got.body, "identity provider keys")
		})
	}
}

func TestSessionsLiveAsLongAsConfigured(t *testing.T) {
	s := newSite(t, 1, map[string]string{"SESSION_IDLE_TIMEOUT": "20m", "SESSION_LIFETIME": "10m"})
	b := s.browser(t)
	b.signIn()
	_, answer := b.get(s.URL + "/dropgate/session")
	var session struct{ ExpiresAt time.Time }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &session); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(session.ExpiresAt); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("the session ends in %s, want 10m at most", left)
	}
}

// TestSettingsOfAModeThatIsOffHaveNoEffect: what is left over of the mode bearer
// names somebody else, whose keys must not be good for ID and logout tokens.
func TestSettingsOfAModeThatIsOffHaveNoEffect(t *testing.T) {
	var asked atomic.Int32
	somebody := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(somebody.Close)
	for name, left := range map[string]map[string]string{
		"keys":            {"AUTH_BEARER_JWKS_URL": somebody.URL + "/keys"},
		"keys of no URL":  {"AUTH_BEARER_JWKS_URL": "keys.json"},
		"another issuer":  {"AUTH_BEARER_ISSUER": somebody.URL},
		"no https at all": {"AUTH_BEARER_ISSUER": "ftp://x", "AUTH_FORWARD_URL": somebody.URL, "AUTH_PROXY_SECRET": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, 1, left)
			b := s.browser(t)
			b.signIn()
			b.vends("signed in", "200 ")
			if err := s.world.provider.EndUser(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
			b.vends("signed out", "401 ")
			if n := asked.Load(); n != 0 {
				t.Errorf("somebody else was asked %d times", n)
			}
		})
	}
}
