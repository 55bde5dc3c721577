package handler_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/ratelimit"
)

const readsCustomer = `{"action":"customer.read"}`

// limits are per hour, so they are not refilled during a test.
func limits(user, ip int) func(*setup) {
	return func(s *setup) {
		for limit, n := range map[*ratelimit.Limit]int{&s.limits.User: user, &s.limits.IP: ip} {
			if n > 0 {
				*limit = ratelimit.Limit{N: n, Window: time.Hour}
			}
		}
	}
}

func behindProxies(s *setup) {
	s.handler.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// tooMany fails t unless a reports the exceeded limit of scope, 9 per hour,
// without a call to Dwolla.
func (a *answer) tooMany(t *testing.T, scope string) {
	t.Helper()
	a.refused(t, http.StatusTooManyRequests, "TooManyRequests")
	for name, want := range map[string]string{
		"Retry-After": "400", "RateLimit": `"` + scope + `";r=0;t=400`, "RateLimit-Policy": `"` + scope + `";q=9;w=3600`,
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestUserLimitFitsOneFlowAndStopsHammering(t *testing.T) {
	w := newWorld(t, limits(9, 0))
	for range 9 { // the tokens of one flow, in a row
		got := w.vend(t, alice, readsCustomer)
		got.vended(t, got.sent[0])
	}
	got := w.vend(t, alice, readsCustomer)
	got.tooMany(t, "user")
	if got.access.User != alice || got.audit.text("user") != alice {
		t.Errorf("the log does not say who it was: %v, %v", got.access, got.audit)
	}
	got = w.get(t, alice, "/session")
	got.tooMany(t, "user")
	got = w.vend(t, bob, readsCustomer)
	got.vended(t, got.sent[0])
	if n := w.series()[`dropgate_rate_limited_total{scope="user"}`]; n != "2" {
		t.Errorf("%s refusals are counted, want 2", n)
	}
}

func TestAddressLimitIgnoresTheSignIn(t *testing.T) {
	w := newWorld(t, limits(0, 9), behindProxies)
	from := func(addr string) with { return header("X-Forwarded-For", addr) }
	for range 5 {
		got := w.vend(t, nobody, readsCustomer, from("2001:db8::1"))
		got.refused(t, http.StatusUnauthorized, "Unauthenticated")
	}
	for range 2 {
		got := w.vend(t, alice, readsCustomer, from("2001:db8::2"))
		got.vended(t, got.sent[0])
	}
	for range 2 {
		if got := w.get(t, nobody, "/openapi.yaml", from("2001:db8::3")); got.status != http.StatusOK {
			t.Errorf("openapi.yaml: %d", got.status)
		}
	}
	attempts := w.series()[`dropgate_auth_total{mode="bearer",outcome="accepted",reason="none"}`]
	for _, got := range []answer{
		w.vend(t, alice, readsCustomer, from("2001:db8::4")),
		w.vend(t, nobody, readsCustomer, from("2001:db8::5")),
		w.get(t, alice, "/session", from("2001:db8::6")),
		w.get(t, nobody, "/openapi.yaml", from("2001:db8::7")),
	} {
		got.tooMany(t, "ip")
	}
	if now := w.series()[`dropgate_auth_total{mode="bearer",outcome="accepted",reason="none"}`]; now != attempts {
		t.Errorf("credentials were looked at: %s, before it %s", now, attempts)
	}
	got := w.vend(t, alice, readsCustomer, from("2001:db8:0:1::1"))
	got.vended(t, got.sent[0])
	if strings.Contains(w.logs.text(), "TRUSTED_PROXIES") {
		t.Error("the log suspects a proxy that is trusted")
	}
}

func TestUntrustedProxyIsSuspectedOnce(t *testing.T) {
	w := newWorld(t, limits(0, 9))
	for range 12 {
		w.get(t, nobody, "/openapi.yaml", header("X-Forwarded-For", "192.0.2.1"))
	}
	if n := strings.Count(w.logs.text(), "TRUSTED_PROXIES"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}

func TestSignInRoutesAreLimitedExceptServerCalls(t *testing.T) {
	w := newWorld(t, withSignIn(), limits(0, 9))
	for range 9 {
		w.get(t, nobody, "/openapi.yaml")
	}
	for name, r := range map[string]*http.Request{
		"a page that logs in": w.request(nobody, http.MethodGet, "/auth/login", asPerson),
		"the way back":        w.request(nobody, http.MethodGet, "/auth/callback?code=x&state=x", asPerson),
	} {
		if got := w.do(t, r); got.status != http.StatusTooManyRequests || got.page == nil || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	got := w.do(t, w.request(nobody, http.MethodGet, "/auth/login"))
	got.tooMany(t, "ip")
	got = w.do(t, w.request(nobody, http.MethodPost, "/auth/logout", fromPage("same-origin", none)))
	got.tooMany(t, "ip")
	got = w.do(t, w.notice("logout_token=x"))
	got.refused(t, http.StatusBadRequest, "BadRequest")
}

func TestAllowedOriginsReadTheRateLimit(t *testing.T) {
	w := newWorld(t, allowedOrigins(app), limits(0, 9))
	var got answer
	for range 10 {
		got = w.vend(t, nobody, readsCustomer, fromPage("cross-site", app))
	}
	got.tooMany(t, "ip")
	for _, name := range []string{"Ratelimit", "Ratelimit-Policy", "Retry-After"} {
		if !strings.Contains(strings.ToLower(got.header.Get("Access-Control-Expose-Headers")), strings.ToLower(name)) {
			t.Errorf("a page may not read %s: %s", name, got.header.Get("Access-Control-Expose-Headers"))
		}
	}
}

// creations is the allowance of tokens for customer.create, in an hour.
func creations(n int) func(*setup) {
	return func(s *setup) { s.limits.Create = ratelimit.Limit{N: n, Window: time.Hour} }
}

func TestUserGetsTwoCustomerCreateTokens(t *testing.T) {
	w := newWorld(t, creations(2))
	const create = `{"action":"customer.create"}`
	w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: http.StatusForbidden, Times: 1})
	if failed := w.vend(t, carol, create); failed.status != http.StatusBadGateway { // which costs nothing
		t.Errorf("answer %d, want 502", failed.status)
	}
	refused := w.vend(t, alice, create) // likewise: she has a Customer
	refused.refused(t, http.StatusConflict, "CustomerAlreadyLinked")
	for range 2 {
		a := w.vend(t, carol, create)
		a.vended(t, create)
	}
	a := w.vend(t, carol, create)
	a.refused(t, http.StatusTooManyRequests, "TooManyRequests")
	for name, want := range map[string]string{
		"Retry-After": "1800", "RateLimit": `"create";r=0;t=1800`, "RateLimit-Policy": `"create";q=2;w=3600`,
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(a.access.Reason, "RATE_LIMIT_CREATE") || a.audit.text("outcome") != "TooManyRequests" {
		t.Errorf("the log says %v, the audit %v", a.access, a.audit)
	}
	a = w.vend(t, carol, `{"action":"businessclassifications.read"}`)
	a.vended(t, `{"action":"businessclassifications.read"}`)
}

// flowOfFourOwners are the tokens of dwolla-beneficial-owners (docs/limits.md).
func flowOfFourOwners() []string {
	flow := []string{"beneficialownership.read", "customer.read", "beneficialowners.read"}
	for range 4 {
		flow = append(flow, "beneficialowners.create", "beneficialowners.read", "beneficialowner.documents.create")
	}
	return append(flow, "beneficialowners.update", "beneficialowners.update", "customer.update", "beneficialownership.certify", "beneficialownership.read")
}

func TestSmallestLimitFitsFourBeneficialOwners(t *testing.T) {
	var smallest ratelimit.Limit
	if err := smallest.UnmarshalText([]byte("25/1h")); err != nil {
		t.Fatal(err)
	}
	if new(ratelimit.Limit).UnmarshalText([]byte("24/1h")) == nil {
		t.Fatal("there is a smaller limit")
	}
	w := newWorld(t, limits(smallest.N, 0))
	flow := flowOfFourOwners()
	if len(flow) != 20 {
		t.Errorf("the flow has %d tokens, and the documents say 20", len(flow))
	}
	w.get(t, alice, "/session")
	for i, action := range flow {
		a := w.vend(t, alice, `{"action":"`+action+`"}`)
		if a.status != http.StatusOK {
			t.Fatalf("token %d, %s: answer %d", i+1, action, a.status)
		}
	}
	w.get(t, alice, "/session")
}
