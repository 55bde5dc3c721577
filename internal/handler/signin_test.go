package handler_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth"
)

func TestUserSignsInVendsAndLogsOut(t *testing.T) {
	for _, base := range []string{"", "/bank/dropgate"} {
		t.Run(base, func(t *testing.T) {
			w := newWorld(t, withSignIn(), basePath(base), policy("dwolla-customer-update"))
			b := w.browser(t)
			a := b.signIn(alice, "/accounts?tab=1#top")
			if got := a.header.Get("Location"); got != w.url+"/accounts?tab=1#top" {
				t.Errorf("the browser is sent to %q", got)
			}
			a.access.has(t, accessLine{Route: base + "/auth/callback", Mode: "oidc", User: alice, Code: empty, Reason: empty})
			if names := b.cookies(); len(names[sessionCookie]) != 43 || len(names) != 2 { // the provider's is the other one
				t.Errorf("the browser has the cookies %v", names)
			}

			a = b.ask(http.MethodGet, "/session")
			w.isAlices(t, a)
			a.access.has(t, accessLine{Mode: "oidc", User: alice})

			for _, from := range []with{fromPage("same-origin", none), fromPage(none, w.url), fromPage("same-origin", w.url)} {
				a = b.send(w.request(nobody, http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`), from))
				a.vended(t, w.filled(sentRead))
				a.audit.has(t, line{"mode": "oidc", "user": alice, "customer": alicesID, "outcome": "vended"})
			}

			old := &http.Cookie{Name: sessionCookie, Value: b.session()}
			a = b.logout()
			if a.endSessionURL(t) == "" || b.session() != "" {
				t.Errorf("the answer is %s, the cookie %q", a.body, b.session())
			}
			a.access.has(t, accessLine{Route: base + "/auth/logout", Mode: "oidc", User: alice})
			b.isSignedIn(nobody)
			b.keep(old)
			b.isSignedIn(nobody)
			a = b.vend()
			a.refused(t, http.StatusUnauthorized, "Unauthenticated")
		})
	}
}

// isAlices fails t unless a is alice's complete new session.
func (w *world) isAlices(t *testing.T, a answer) {
	t.Helper()
	got := sessionOf(t, a)
	said, _ := got["expiresAt"].(string)
	expires, err := time.Parse(time.RFC3339, said)
	if left := time.Until(expires); err != nil || left > idle || left < idle-time.Minute {
		t.Errorf("the session ends in %v, %v", left, err)
	}
	delete(got, "expiresAt")
	want := map[string]any{
		"user":        map[string]any{"id": alice, "name": "Alice A.", "email": "alice@example.com"},
		"customer":    map[string]any{"id": alicesID, "href": w.root + "/customers/" + alicesID},
		"environment": "sandbox",
		"actions":     []any{"customer.read", "customer.update"},
		"components":  []any{"dwolla-customer-update"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
}

func TestOnlyVendingExtendsTheSession(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	expires := func() any { return sessionOf(t, b.ask(http.MethodGet, "/session"))["expiresAt"] }
	first := expires()
	w.clock.move(idle - time.Minute)
	for range 3 {
		if got := expires(); got != first {
			t.Fatalf("the session ends at %v, at first it ended at %v", got, first)
		}
	}
	b.vend()
	if got := expires(); got == first {
		t.Error("the session was used, and ends as if not")
	}
	w.clock.move(idle - time.Minute)
	b.isSignedIn(alice)
	w.clock.move(2 * time.Minute)
	b.isSignedIn(nobody)
}

func TestSignInReplacesTheSession(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	first := b.session()
	b.signIn(alice, "") // past the login page: the provider knows the browser
	second := b.session()
	if first == second {
		t.Error("the session has the same id")
	}
	b.isSignedIn(alice)
	other := w.browser(t)
	other.keep(&http.Cookie{Name: sessionCookie, Value: first})
	other.isSignedIn(nobody)
	metrics := w.metricsText()
	for _, want := range []string{
		"dropgate_sessions_started_total 2", `dropgate_sessions_ended_total{reason="replaced"} 1`,
		`dropgate_session_store_requests_total{operation="start",outcome="ok"} 2`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestTwoTabsSignInAtOnce(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	one, two := b.begin("/one"), b.begin("/two")
	for provider, want := range map[string]string{two: "/two", one: "/one"} {
		a := b.open(b.back(provider, alice))
		if got := a.header.Get("Location"); got != w.url+want {
			t.Errorf("the browser is sent to %q, want %s", got, want)
		}
		b.isSignedIn(alice)
	}
}

func TestLoginRedirectsToTheProvider(t *testing.T) {
	w := newWorld(t, withSignIn(), basePath("/dropgate"), allowedOrigins(app))
	b := w.browser(t)
	for _, query := range []string{"", "?return_to=", "?return_to=/a%3Fb%23c", "?return_to=" + url.QueryEscape(w.url+"/x"), "?return_to=" + url.QueryEscape(app+"/x")} {
		a := b.open("/auth/login" + query)
		to, err := url.Parse(a.header.Get("Location"))
		if err != nil || a.status != http.StatusSeeOther || to.Scheme+"://"+to.Host+to.Path != w.issuer+"/authorize" {
			t.Fatalf("%s: answer %d to %v, %v", query, a.status, to, err)
		}
		a.access.has(t, accessLine{Route: "/dropgate/auth/login", User: empty, Code: empty})
		got := to.Query()
		want := url.Values{
			"client_id": {oidcClient}, "response_type": {"code"}, "scope": {"openid profile email"},
			"redirect_uri": {w.url + "/dropgate/auth/callback"}, "code_challenge_method": {"S256"},
		}
		for _, fresh := range []string{"state", "nonce", "code_challenge"} {
			if len(got.Get(fresh)) < 22 { // 128 bits
				t.Errorf("%s is %q", fresh, got.Get(fresh))
			}
			got.Del(fresh)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the request to the provider (-want +got):\n%s", diff)
		}
	}
}

// TestLoginRecoversWithTheProvider waits for the time in Retry-After.
func TestLoginRecoversWithTheProvider(t *testing.T) {
	w := newWorld(t, withSignIn(func(s *signIn) {
		s.edit = func(*auth.OIDCConfig) { s.wire.breaks(http.ErrServerClosed) }
	}))
	b := w.browser(t)
	a := b.open("/auth/login?return_to=/x%3Fa%26b")
	a.shows(t, http.StatusServiceUnavailable, "Unavailable")
	if a.page.again != "/auth/login?return_to=%2Fx%3Fa%26b" {
		t.Errorf("the page leads to %q", a.page.again)
	}
	a = b.send(w.request(nobody, http.MethodGet, "/auth/login"))
	a.refused(t, http.StatusServiceUnavailable, "Unavailable")
	if !strings.Contains(a.access.Reason, "the identity provider") || len(b.cookies()) != 0 {
		t.Errorf("the reason is %q, the cookies are %v", a.access.Reason, b.cookies())
	}
	a = w.vend(t, alice, `{"action":"customer.read"}`) // the other mode goes on
	a.vended(t, w.filled(sentRead))

	w.wire.breaks(nil)
	for a = b.open("/auth/login"); a.status != http.StatusSeeOther; a = b.open("/auth/login") {
		wait, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || wait < 1 || wait > 2 {
			t.Fatalf("answer %d, Retry-After is %d, %v", a.status, wait, err)
		}
		<-time.After(time.Duration(wait) * time.Second)
	}
	b.signIn(alice, "")
	b.isSignedIn(alice)
}

func TestSignInRoutesNeedTheMode(t *testing.T) {
	w := newWorld(t)
	for path, method := range map[string]string{
		"/auth/login": http.MethodGet, "/auth/callback": http.MethodGet,
		"/auth/logout": http.MethodPost, "/auth/backchannel-logout": http.MethodPost,
	} {
		a := w.do(t, w.request(nobody, method, path, asPerson, without("Sec-Fetch-Site")))
		a.refused(t, http.StatusNotFound, "NotFound")
		a.access.has(t, accessLine{Route: "none"})
	}
}

func TestSignInRoutesHaveOneMethodEach(t *testing.T) {
	w := newWorld(t, withSignIn(), basePath("/dropgate"))
	for path, allowed := range map[string]string{
		"/auth/login": "GET, HEAD", "/auth/callback": "GET, HEAD", "/auth/logout": "POST", "/auth/backchannel-logout": "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
			if strings.Contains(allowed, method) {
				continue
			}
			a := w.do(t, w.request(nobody, method, path))
			if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != allowed {
				t.Errorf("%s %s: answer %d, Allow %q", method, path, a.status, a.header.Get("Allow"))
			}
		}
		method, _, _ := strings.Cut(allowed, ",")
		r := w.request(nobody, method, path)
		r.URL.Path = path
		a := w.do(t, r)
		a.refused(t, http.StatusNotFound, "NotFound")
	}
}

func TestSignInMetricsHaveTheirNamesAndLabels(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	b.signIn(alice, "")
	b.open("/auth/callback")
	b.logout()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, family := range families {
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		got[family.GetName()] = labels
	}
	for name, want := range map[string][]string{
		"dropgate_logins_total":                 {"outcome", "reason"},
		"dropgate_sessions_started_total":       nil,
		"dropgate_sessions_ended_total":         {"reason"},
		"dropgate_session_store_requests_total": {"operation", "outcome"},
	} {
		if labels, present := got[name]; !present || !slices.Equal(want, labels) {
			t.Errorf("%s has the labels %v, want %v", name, labels, want)
		}
	}
	for name, want := range map[string]string{
		`dropgate_logins_total{outcome="succeeded",reason="none"}`:            "1",
		`dropgate_logins_total{outcome="failed",reason="callback_malformed"}`: "1",
		`dropgate_sessions_ended_total{reason="logout"}`:                      "1",
	} {
		if value := w.series()[name]; value != want {
			t.Errorf("%s is %q, want %s", name, value, want)
		}
	}
}

func TestUserWithoutTheUserClaimIsRefused(t *testing.T) {
	w := newWorld(t, withSignIn(configured(func(c *auth.OIDCConfig) { c.UserClaim = "email" })))
	b := w.browser(t)
	a := b.open(b.back(b.begin("/x"), nameless))
	a.shows(t, http.StatusBadRequest, "user_unknown")
	a.access.has(t, accessLine{User: empty, Mode: "oidc"})
	b.isSignedIn(nobody)
}
