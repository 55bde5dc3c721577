package app_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/clienttoken"
)

// site is a set of replicas behind a proxy with TLS, which sends each request to
// the next replica.
type site struct {
	*httptest.Server

	fixture  *fixture
	replicas []*service
}

// newSite starts replicas with the mode oidc.
func newSite(t *testing.T, replicas int, changes map[string]string) *site {
	t.Helper()
	s := &site{fixture: newFixture(t)}
	var next atomic.Uint64
	s.Server = httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		replica := s.replicas[int(next.Add(1))%len(s.replicas)]
		r.SetURL(&url.URL{Scheme: "http", Host: replica.PublicAddr()})
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(s.Close)
	settings := oidc(map[string]string{
		"AUTH_OIDC_ISSUER": s.fixture.settings["AUTH_BEARER_ISSUER"],
		"PUBLIC_URL":       s.URL,
		"BASE_PATH":        "/dropgate",
	})
	maps.Copy(settings, changes)
	for range replicas {
		s.replicas = append(s.replicas, s.fixture.start(t, settings))
	}
	client := oidctest.Client(s.URL + "/dropgate")
	client.Secret = clienttoken.NewSecret(webSecret)
	client.BackChannelLogoutURI = "http://" + s.replicas[0].PublicAddr() + "/dropgate/auth/backchannel-logout"
	s.fixture.provider.AddClient(client)
	return s
}

// browser is a user's browser.
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
	client.Jar, client.Transport = jar, oidctest.Refreshing(client.Transport)
	return browser{&client, t, s}
}

// get opens a page. It returns the final URL and the content.
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
	issuer := b.site.fixture.settings["AUTH_BEARER_ISSUER"]
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

// thief returns a browser with a copy of b's session cookie.
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

// pageInfo is the response of GET /session.
type pageInfo struct {
	Customer *struct{ ID, Href, Status string }

	CorrelationID string
}

func (b browser) session() pageInfo {
	b.t.Helper()
	var info pageInfo
	_, answer := b.get(b.site.URL + "/dropgate/session")
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &info); err != nil {
		b.t.Fatalf("GET /session: %s", answer)
	}
	return info
}

// token is a client token, or the test fails.
func (b browser) token(body string) string {
	b.t.Helper()
	var vended struct{ Token string }
	answer := b.send(http.MethodPost, "/client-tokens", body)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &vended); err != nil || vended.Token == "" {
		b.t.Fatalf("%s: %s", body, answer)
	}
	return vended.Token
}

// owns checks that GET /session shows this Customer.
func (b browser) owns(href string) {
	b.t.Helper()
	if info := b.session(); info.Customer == nil || info.Customer.Href != href || info.CorrelationID != "" {
		b.t.Errorf("the page got %+v, want %s", info, href)
	}
}

// createCustomer creates a Customer at Dwolla with a client token, as a drop-in
// component does.
func (b browser) createCustomer(correlationID string) (href string) {
	b.t.Helper()
	token := b.token(`{"action":"customer.create"}`)
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.site.fixture.settings["DWOLLA_BASE_URL"]+"/customers",
		strings.NewReader(`{"firstName":"Carol","lastName":"New","email":"carol@example.com","type":"unverified","correlationId":"`+correlationID+`"}`))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header = http.Header{
		"Authorization": {"Bearer " + token},
		"Accept":        {"application/vnd.dwolla.v1.hal+json"},
		"Content-Type":  {"application/vnd.dwolla.v1.hal+json"},
	}
	created := do(b.t, r)
	if created.status != http.StatusCreated {
		b.t.Fatalf("Dwolla answers %d %s", created.status, created.body)
	}
	return created.header.Get("Location")
}

// logouts are the ways to end a session of alice.
func logouts() map[string]func(t *testing.T, s *site, b browser) {
	return map[string]func(*testing.T, *site, browser){
		"by the application's button": func(_ *testing.T, _ *site, b browser) { b.logout() },
		"at the provider, in the browser": func(t *testing.T, s *site, b browser) {
			t.Helper()
			other := s.browser(t)
			other.signIn()
			b.get(s.fixture.settings["AUTH_BEARER_ISSUER"] + "/end_session?client_id=dropgate-web")
			if answer := other.vend(); !strings.HasPrefix(answer, "200 ") {
				t.Errorf("another session of the user: %s", answer)
			}
		},
		"by the provider, everywhere": func(t *testing.T, s *site, _ browser) {
			t.Helper()
			if err := s.fixture.provider.EndUser(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		},
	}
}

// enrolling starts a site of two replicas with enrollment.
func enrolling(t *testing.T, databaseURL string) *site {
	t.Helper()
	return enrollingWith(t, databaseURL, 2, nil)
}

// enrollingWith starts a site with enrollment and some settings changed.
func enrollingWith(t *testing.T, databaseURL string, replicas int, changes map[string]string) *site {
	t.Helper()
	settings := map[string]string{
		"ALLOWED_ACTIONS":       "dwolla-personal-vcr",
		"SESSION_STORE":         "redis",
		"REDIS_URL":             redisURL(t),
		"CUSTOMER_SOURCE":       "database",
		"DATABASE_URL":          databaseURL,
		"CUSTOMER_CACHE":        "300ms", // so that the other replica notices soon
		"ENROLLMENT_KEYS":       base64.StdEncoding.EncodeToString([]byte("an enrollment key of 32 bytes ok")),
		"DWOLLA_WEBHOOK_SECRET": webhookSecret,
	}
	maps.Copy(settings, changes)
	return newSite(t, replicas, settings)
}

// subscribe sends Dwolla's webhooks to one replica.
func (s *site) subscribe(t *testing.T) {
	t.Helper()
	s.fixture.dwolla.SendWebhooks("http://" + s.replicas[0].PublicAddr() + "/dropgate/webhooks/dwolla")
}

func reading(href string) string {
	return `{"action":"customer.read","_links":{"customer":{"href":"` + href + `"}}}`
}

// wants fails the test unless an answer begins so.
func wants(t *testing.T, what, answer, want string) {
	t.Helper()
	if !strings.HasPrefix(answer, want) {
		t.Errorf("%s: %s, want %s", what, answer, want)
	}
}

// everywhere reports whether each of two requests is answered so: with two
// replicas, each gets one.
func (b browser) everywhere(want string) bool {
	b.t.Helper()
	first, second := b.vend(), b.vend()
	return strings.HasPrefix(first, want) && strings.HasPrefix(second, want)
}
