package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/auth/provider"
)

// lonelyFront is a front before a service that does not exist.
func lonelyFront(t *testing.T, dwollaWeb string) http.Handler {
	t.Helper()
	p, err := provider.New(provider.Options{Issuer: "http://127.0.0.1:17189"})
	if err != nil {
		t.Fatal(err)
	}
	people := demoPersonas(options{alice: demoAlice, bob: demoBob})
	f := &front{
		public: "http://127.0.0.1:8080", service: "127.0.0.1:1", issuer: "http://127.0.0.1:17189",
		apiRoot: "http://127.0.0.1:17188", dwollaWeb: dwollaWeb,
		demo: &demo{
			roster: &roster{personas: people}, policy: newPolicySwitch(people), faults: &faults{}, attacks: &attacks{}, hub: newHub(), provider: p,
		},
	}
	h, err := f.handler()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func visitFront(t *testing.T, h http.Handler, target string, headers map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestDemoRefusesForeignHostsAndPages(t *testing.T) {
	h := lonelyFront(t, "")
	const own = "http://127.0.0.1:8080"
	for _, path := range []string{"/demo/state", "/demo/events", "/demo/sign-in?user=alice", "/demo/demo.js"} {
		for name, c := range map[string]struct {
			at      string
			headers map[string]string
			want    int
		}{
			"rebound name":       {"http://evil.example:8080", nil, http.StatusMisdirectedRequest},
			"another port":       {"http://127.0.0.1:8081", nil, http.StatusMisdirectedRequest},
			"foreign origin":     {own, map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
			"opaque origin":      {own, map[string]string{"Origin": "null"}, http.StatusForbidden},
			"page of a neighbor": {own, map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
			"page of another":    {own, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, http.StatusForbidden},
		} {
			if got := visitFront(t, h, c.at+path, c.headers); got.Code != c.want {
				t.Errorf("%s, %s: %d %s, want %d", path, name, got.Code, got.Body, c.want)
			}
		}
	}
	if got := visitFront(t, h, own+"/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}); got.Code != http.StatusOK {
		t.Errorf("a link to the page: %d", got.Code)
	}
	if got := visitFront(t, h, own+"/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}); got.Code != http.StatusForbidden {
		t.Errorf("a frame around the page: %d", got.Code)
	}
}

func TestPageAllowsNoInlineCode(t *testing.T) {
	got := visitFront(t, lonelyFront(t, ""), "http://127.0.0.1:8080/", nil)
	policy := got.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") ||
		!strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "connect-src 'self' http://127.0.0.1:17188;") {
		t.Errorf("the page has the policy %q", policy)
	}
	for _, forbidden := range []string{" style=", "<style", " onclick=", "ZgotmplZ"} {
		if strings.Contains(got.Body.String(), forbidden) {
			t.Errorf("the page contains %q", forbidden)
		}
	}
}

func TestPageShowsTheMarkupItUses(t *testing.T) {
	page := visitFront(t, lonelyFront(t, ""), "http://127.0.0.1:8080/", nil).Body.String()
	escape := strings.NewReplacer("<", "&lt;", ">", "&gt;", `"`, "&#34;")
	shown := tabs()
	if len(shown) != 11 {
		t.Errorf("there are %d tabs, want one for each component", len(shown))
	}
	for _, tab := range shown {
		if !strings.HasPrefix(tab.Markup, "<dwolla-"+tab.ID) {
			t.Errorf("the tab %s has the markup %s", tab.ID, tab.Markup)
		}
		if !strings.Contains(page, "<template>"+tab.Markup+"</template>") || !strings.Contains(page, "<code>"+escape.Replace(tab.Markup)+"</code>") {
			t.Errorf("%s: the page does not show what it uses", tab.ID)
		}
	}
	head := integration("/dwolla-web.js", "/demo/dwolla.css")
	if !strings.Contains(page, head) || !strings.Contains(page, "<code>"+escape.Replace(head)+"</code>") {
		t.Error("the page does not show how it integrates dropgate")
	}
}

func TestDwollaWebReplacesTheStandIn(t *testing.T) {
	const library = "https://cdn.example/v3.0.0/dwolla-web.js"
	got := visitFront(t, lonelyFront(t, library), "http://127.0.0.1:8080/", nil)
	if policy := got.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self' https://cdn.example;") {
		t.Errorf("the policy is %q", policy)
	}
	if page := got.Body.String(); !strings.Contains(page, `<script src="`+library+`"></script>`) || strings.Contains(page, `src="/dwolla-web.js"`) {
		t.Error("the page does not load the library")
	}
}

func TestStandInLearnsWhereTheAPIIs(t *testing.T) {
	got := visitFront(t, lonelyFront(t, ""), "http://127.0.0.1:8080/dwolla-web.js", nil)
	first, rest, _ := strings.Cut(got.Body.String(), "\n")
	if first != `globalThis.dwollaStandIn={"linksOnly":false,"root":"http://127.0.0.1:17188"};` || !strings.Contains(rest, "customElements.define") {
		t.Errorf("the library begins with %q", first)
	}
}

func TestLocalhostIsAnotherSite(t *testing.T) {
	h := lonelyFront(t, "")
	got := visitFront(t, h, "http://localhost:8080/", nil)
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "http://127.0.0.1:8080/" {
		t.Errorf("localhost leads to %d %s", got.Code, got.Header().Get("Location"))
	}
	if got := visitFront(t, h, "http://localhost:8080/demo/state", nil); got.Code != http.StatusNotFound {
		t.Errorf("localhost has the demo's API: %d", got.Code)
	}
	attack := visitFront(t, h, "http://localhost:8080/attacker", nil)
	if !strings.Contains(attack.Body.String(), `action="http://127.0.0.1:8080/dropgate/client-tokens"`) {
		t.Errorf("the attacker's page is %s", attack.Body)
	}
}

func TestAbsentServiceIsBadGateway(t *testing.T) {
	got := visitFront(t, lonelyFront(t, ""), "http://127.0.0.1:8080/dropgate/session", nil)
	if got.Code != http.StatusBadGateway || !strings.Contains(got.Body.String(), `"code":"UpstreamError"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

func TestFrontForwardsAddressAndHost(t *testing.T) {
	var seen http.Header
	var host string
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen, host = r.Header, r.Host }))
	t.Cleanup(service.Close)
	f := &front{service: strings.TrimPrefix(service.URL, "http://")}
	visitFront(t, f.proxy(), "http://127.0.0.1:8080/dropgate/session", map[string]string{
		"X-Forwarded-For": "203.0.113.7", "X-Request-Id": "made-up",
	})
	if host != "127.0.0.1:8080" || seen.Get("X-Forwarded-For") != "192.0.2.1" || seen.Get("X-Request-Id") != "" {
		t.Errorf("the service sees the host %s and %v", host, seen)
	}
}

func TestSignInComesBackToTheTab(t *testing.T) {
	got := visitFront(t, lonelyFront(t, ""), "http://127.0.0.1:8080/demo/sign-in?user=alice&tab=payin", nil)
	at, err := url.Parse(got.Header().Get("Location"))
	if err != nil || at.Host != "127.0.0.1:17189" || at.Query().Get("user") != "alice" {
		t.Fatalf("the sign-in goes to %s", at)
	}
	if then := at.Query().Get("then"); then != "http://127.0.0.1:8080/dropgate/auth/login?return_to=%2F%3Ftab%3Dpayin" {
		t.Errorf("and then to %s", then)
	}
}
