//go:build faults

package faults_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// echoingApplication maps cookies to users (forward) and users to Customers (lookup). For an
// unknown user it echoes the request.
func (w *world) echoingApplication(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		credentials := r.Header.Get("Authorization") + r.Header.Get("Cookie")
		w.secrets.markUsed(credentials + unescaped(credentials))
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case strings.Contains(r.URL.Path+credentials, "away"):
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = rw.Write([]byte(credentials))
		case strings.Contains(r.URL.Path+credentials, "elsewhere"):
			rw.Header().Set("Location", "/"+url.PathEscape(credentials))
			rw.WriteHeader(http.StatusFound)
		case strings.Contains(r.URL.Path+credentials, "nonsense"):
			_, _ = rw.Write([]byte(`{"customer":"` + credentials + `","sub":{"` + credentials + `":1}}`))
		case strings.HasPrefix(r.URL.Path, "/users/"):
			_, _ = rw.Write([]byte(`{"customer":"` + customerID(1) + `"}`))
		default:
			_, _ = rw.Write([]byte(`{"sub":"user-1","dwolla_customer":"` + customerID(1) + `"}`))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const readCustomer = `{"action":"customer.read"}`

// TestProxyAndForwardModesLeakNoSecret includes the lookup.
func TestProxyAndForwardModesLeakNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	application := w.echoingApplication(t)
	secret := w.secret("AUTH_PROXY_SECRET")
	s := sweeping(t, w, map[string]string{
		"AUTH_MODES": "proxy,forward", "AUTH_PROXY_SECRET": secret, "TRUSTED_PROXIES": "127.0.0.1/32", "AUTH_FORWARD_URL": application + "/me",
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": application + "/users/{user}", "CUSTOMER_LOOKUP_TOKEN": w.secret("CUSTOMER_LOOKUP_TOKEN"),
	})
	vend := func(header map[string]string, want int) {
		t.Helper()
		header["Sec-Fetch-Site"] = "same-origin"
		s.send(request{method: http.MethodPost, path: "/client-tokens", body: readCustomer, header: header, want: want})
	}
	for user, want := range map[string]int{
		"user-1": http.StatusOK, "away": http.StatusServiceUnavailable, "elsewhere": http.StatusServiceUnavailable, "nonsense": http.StatusServiceUnavailable,
	} {
		vend(map[string]string{"X-Forwarded-User": user, "X-Proxy-Secret": secret}, want)
		cookie := w.secret("a cookie of the application")
		status := map[int]int{http.StatusOK: http.StatusOK}[want]
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		vend(map[string]string{"Cookie": "app=" + strings.ReplaceAll(user, "user-1", "good") + url.QueryEscape(cookie)}, status)
	}
	for _, almost := range s.near("AUTH_PROXY_SECRET", secret) {
		vend(map[string]string{"X-Forwarded-User": "user-1", "X-Proxy-Secret": almost}, http.StatusUnauthorized)
		vend(map[string]string{"X-Forwarded-User": secret + "\xff", "X-Proxy-Secret": almost}, http.StatusUnauthorized)
	}
	w.secrets.requireUsed(t, usedByProxyAndForward())
}

// TestSignInLeaksNoSecret covers good and failed sign-ins, each way to log out, and
// outages of the provider and of Redis.
func TestSignInLeaksNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	password := w.secret("the password of REDIS_URL")
	redis := newRedis(t, "--requirepass", password)
	w.withRedis(t, redis.address)
	w.settings["REDIS_URL"] = "redis://:" + url.QueryEscape(password) + "@" + w.toRedis.Addr
	first, second := w.secrets.newKey("the first of SESSION_KEYS"), w.secrets.newKey("the second of SESSION_KEYS")
	w.withSpans(t)
	site := newSite(t, w, 2, map[string]string{
		"AUTH_MODES": "bearer,oidc", "SESSION_KEYS": first + "," + second,
		// The provider takes no keys, so the servers only hold this one.
		"AUTH_OIDC_CLIENT_KEYS": w.secrets.newPrivateKey(t, "AUTH_OIDC_CLIENT_KEYS"), "AUTH_OIDC_CLIENT_AUTH": "client_secret_basic",
	})
	callers := site.signInAll(t, 4)
	w.secrets.markUsed(password) // this Redis works only with the password
	for _, c := range callers {
		if got := c.call(t.Context()).summary(); c.refusal == "" && got != token {
			t.Errorf("token request: %s", got)
		}
	}
	site.checkRotation(t, first, second)
	site.badCallbacks(t)
	site.badCookies(t, callers[0])
	if err := w.provider.EndUser(t.Context(), callers[1].user.name); err != nil {
		t.Error("the back-channel logout failed")
	}
	if p := site.logout(t, callers[2]); p.status != http.StatusOK {
		t.Errorf("logout: %d", p.status)
	}
	site.badLogouts(t)
	site.badProvider(t)
	w.toRedis.Stop()
	if got := callers[0].call(t.Context()).summary(); got != unavailable {
		t.Errorf("token request without Redis: %s", got)
	}
	site.browser(t).signIn(t, userName(6))
	for _, p := range site.processes {
		w.evidence.recordAdminPages(t, p)
	}
	healStore(w.toRedis)
	w.secrets.requireUsed(t, usedBySignIns())
}

// checkRotation checks that each of the SESSION_KEYS opens its own sessions, and that
// only it does.
func (s *site) checkRotation(t *testing.T, first, second string) {
	t.Helper()
	usual := s.processes
	defer func() { s.processes = usual }()
	with := func(keys string) []*process {
		settings := maps.Clone(s.settings)
		settings["SESSION_KEYS"] = keys
		return []*process{s.world.start(t, settings)}
	}
	gets := func(c *caller, at []*process, want string) {
		t.Helper()
		s.processes = at
		if got := c.call(t.Context()).summary(); got != want {
			t.Errorf("token request with a session: %s, want %s", got, want)
		}
	}
	sealed, alone := s.caller(t, 5), with(second)
	gets(sealed, alone, "401 Unauthenticated")
	gets(sealed, usual, token)
	s.world.secrets.markUsed(string(decoded(t, first)))
	s.processes = alone
	sealed = s.caller(t, 6)
	gets(sealed, with(first), "401 Unauthenticated")
	gets(sealed, usual, token)
	s.world.secrets.markUsed(string(decoded(t, second)))
}

// badCallbacks are callbacks with errors, from the provider or an attacker.
func (s *site) badCallbacks(t *testing.T) {
	t.Helper()
	b := s.browser(t)
	if p := b.signIn(t, userName(9)); p.status != http.StatusOK {
		t.Errorf("sign-in: %d", p.status)
	}
	for secret, name := range s.world.secrets.names() {
		if name == "a code" || name == "a state" {
			for _, query := range []url.Values{
				{"code": {secret}, "state": {secret}}, {"error": {secret}, "state": {secret}, "error_description": {secret}}, {"code": {secret}},
			} {
				if p := b.open(t, http.MethodGet, s.URL+"/auth/callback?"+query.Encode(), ""); p.status < http.StatusBadRequest {
					t.Errorf("bad callback: %d", p.status)
				}
			}
		}
	}
	// A real sign-in with an invalid code.
	stranger := s.browser(t)
	stranger.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	to, err := url.Parse(stranger.open(t, http.MethodGet, s.URL+"/auth/login", "").header.Get("Location"))
	if err != nil {
		t.Fatal("the sign-in did not redirect")
	}
	secretParameters(to.Query(), s.world.secrets.addUnused)
	callback := url.Values{"state": {to.Query().Get("state")}, "code": {s.world.secret("a code")}}
	at := s.URL + "/auth/callback?" + callback.Encode()
	if p := stranger.open(t, http.MethodGet, at, ""); p.status != http.StatusSeeOther {
		t.Errorf("first callback with an invalid code: %d", p.status)
	}
	if p := stranger.open(t, http.MethodGet, at, ""); p.status < http.StatusBadRequest {
		t.Errorf("callback with an invalid code: %d", p.status)
	}
}

// badCookies are the cookies of a session with errors.
func (s *site) badCookies(t *testing.T, of *caller) {
	t.Helper()
	for secret, name := range s.world.secrets.names() {
		if !strings.HasPrefix(name, "the cookie ") {
			continue
		}
		for _, header := range []string{"x" + secret, secret[1:], secret + "; __Host-dropgate-session=" + secret} {
			bad := *of
			bad.client = s.browser(t).Client
			bad.header = maps.Clone(of.header)
			bad.header["Cookie"] = []string{"__Host-dropgate-session=" + header}
			if got := bad.call(t.Context()).summary(); got != "401 Unauthenticated" {
				t.Errorf("bad cookie: %s", got)
			}
		}
	}
}

// badLogouts are invalid logout tokens.
func (s *site) badLogouts(t *testing.T) {
	t.Helper()
	good, err := s.world.provider.LogoutToken("dropgate-web", userName(1), "")
	if err != nil {
		t.Fatal(err)
	}
	s.world.secrets.addJWT("a logout token", good)
	sweep := &sweep{s.world, t, s.processes[0], &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	for _, r := range []struct {
		token string
		want  int
	}{{good, http.StatusOK}, {good, http.StatusBadRequest}, {good[:len(good)-9], http.StatusBadRequest}, {s.world.users[1].bearer, http.StatusBadRequest}} {
		sweep.send(request{
			method: http.MethodPost, path: "/auth/backchannel-logout", body: url.Values{"logout_token": {r.token}}.Encode(), want: r.want,
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		})
	}
}

// badProvider refuses the client, fails during a sign-in, and answers garbage.
func (s *site) badProvider(t *testing.T) {
	t.Helper()
	fails := func(what string) {
		t.Helper()
		if p := s.browser(t).signIn(t, userName(8)); p.status < http.StatusBadRequest {
			t.Errorf("%s: the sign-in ended with %d", what, p.status)
		}
	}
	bad := s.client
	bad.Secret = clienttoken.NewSecret(s.world.secret("another AUTH_OIDC_CLIENT_SECRET"))
	s.world.provider.AddClient(bad)
	fails("another client secret")
	s.world.provider.AddClient(s.client)
	end := s.world.secrets.replaceAnswers("/oauth/token", func(rw http.ResponseWriter, r *http.Request) {
		credentials := r.Header.Get("Authorization") + r.Form.Encode()
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(rw).Encode(map[string]string{"error": credentials, "error_description": credentials})
	})
	fails("a provider that echoes the request")
	end()
}
