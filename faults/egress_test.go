//go:build faults

package faults_test

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// browseThroughProxy lets a site's browsers reach the provider, as the server does.
func (o *outside) browseThroughProxy(t *testing.T, s *site) {
	t.Helper()
	transport, ok := s.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the test server has another transport")
	}
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(s.Certificate())
	transport.TLSClientConfig.RootCAs.AddCert(o.ca.certificate)
	proxy, err := url.Parse(o.proxy.url)
	if err != nil {
		t.Fatal(err)
	}
	transport.Proxy = func(r *http.Request) (*url.URL, error) {
		if strings.HasSuffix(r.URL.Host, ".test") {
			return proxy, nil
		}
		return nil, nil //nolint:nilnil // the contract of net/http
	}
}

// TestEveryOutgoingCallUsesTheEgressProxy uses names that only the proxy can resolve, so
// a direct connection fails. It also needs the proxy's password.
func TestEveryOutgoingCallUsesTheEgressProxy(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	s := newSite(t, o.world, 1, map[string]string{
		"AUTH_MODES": "bearer,oidc,forward", "AUTH_FORWARD_URL": "https://app.test/me", "AUTH_FORWARD_CACHE": "0s",
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "https://app.test/users/{user}", "CUSTOMER_CACHE": "0s",
	})
	o.browseThroughProxy(t, s)
	p := s.processes[0]
	o.warmUp(t, o.caller(p, nil))
	before, _ := o.proxy.seen()
	if page := s.browser(t).signIn(t, userName(1)); page.status != http.StatusOK || page.at != s.URL+"/session" {
		t.Errorf("sign-in with a code: %d at %s", page.status, page.at)
	}
	cookie := http.Header{"Cookie": {"app=" + userName(2)}, "Sec-Fetch-Site": {"same-origin"}}
	if got := o.caller(p, cookie).call(t.Context()); got.summary() != token {
		t.Errorf("a user of the application got %s %s", got.summary(), got.defect)
	}
	o.secrets.markUsed(o.proxy.password) // the proxy opens no connection without it
	o.secrets.requireUsed(t, usedByEgress()[:1])
	connects, plain := o.proxy.seen()
	for _, target := range []string{"dwolla.test:443", "idp.test:443", "app.test:443"} {
		if connects[target] == 0 {
			t.Errorf("no connection to %s through the proxy; before the sign-in %v, at the end %v", target, before, connects)
		}
	}
	if len(connects) != 3 || len(plain) > 0 {
		t.Errorf("the proxy saw %v and %v, want CONNECT to three servers alone", connects, plain)
	}
}

func TestPlainCallsUseTheHTTPProxy(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	proxy := newEgressProxy(t, o.secret("the password of HTTP_PROXY"))
	proxy.servers["app.test"] = o.serve(t, http.HandlerFunc(o.serveApplication)).Addr
	p := o.start(t, map[string]string{
		"HTTP_PROXY": proxy.url, "CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://app.test/users/{user}", "CUSTOMER_CACHE": "0s",
	})
	o.trusts(t, p)
	if connects, plain := proxy.seen(); len(connects) > 0 || !slices.Contains(plain, "http://app.test/users/"+userName(0)) {
		t.Errorf("the proxy saw %v and %v, want the lookup alone", connects, plain)
	}
	o.secrets.markUsed(proxy.password)
	o.secrets.requireUsed(t, usedByEgress()[1:])
}

func TestExceptionsAndLoopbackBypassTheEgressProxy(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	loopback := newWorld(t)
	p := o.start(t, map[string]string{
		"DWOLLA_BASE_URL": loopback.settings["DWOLLA_BASE_URL"], "DWOLLA_CLIENT_SECRET": loopback.settings["DWOLLA_CLIENT_SECRET"],
		"HTTP_PROXY": o.proxy.url, "NO_PROXY": "10.0.0.0/8,idp.test",
	})
	// A direct connection: this name has no address.
	waitFor(t, "an attempt without the proxy", 20*time.Second, func() bool {
		_, missing := p.readiness(t)
		return slices.ContainsFunc(missing, func(m missingDependency) bool {
			return m.What == "identity provider keys" && m.Reason != "egress proxy unreachable" && m.Reason != "refused by the egress proxy"
		})
	})
	waitFor(t, "an access token from a loopback address", 20*time.Second, func() bool {
		_, missing := p.readiness(t)
		return !slices.ContainsFunc(missing, func(m missingDependency) bool { return m.What == "dwolla" })
	})
	if connects, plain := o.proxy.seen(); len(connects) > 0 || len(plain) > 0 {
		t.Errorf("the proxy saw %v and %v, want nothing", connects, plain)
	}
}

// TestEgressProxyOutageIsUnavailableAndHeals: the sweep of the world looks for the
// proxy's password in all output.
func TestEgressProxyOutageIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  proxyFault
		reason string
		answer string
	}{
		"it wants another password": {proxyFault{status: http.StatusProxyAuthRequired}, "refused by the egress proxy", unavailable},
		"it answers 502":            {proxyFault{status: http.StatusBadGateway}, "refused by the egress proxy", unavailable},
		"it resets connections":     {proxyFault{reset: true}, "", unavailable},
		"it hangs":                  {proxyFault{hang: true}, "timed out", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutside(t)
			o.proxy.fail(c.fault)
			p := o.start(t, map[string]string{"DWOLLA_TIMEOUT": "500ms"})
			waitFor(t, "both dependencies in /readyz", 30*time.Second, func() bool { return o.namesBoth(t, p, c.reason) })
			o.checkOutage(t, p, c.answer)
			o.proxy.fail(proxyFault{})
			waitFor(t, "a token after the outage", 30*time.Second, func() bool { return o.caller(p, nil).call(t.Context()).summary() == token })
			o.proxy.fail(c.fault)
			o.checkOutage(t, p, c.answer)
			o.proxy.fail(proxyFault{})
			waitFor(t, "a token after the second outage", 30*time.Second, func() bool { return o.caller(p, nil).call(t.Context()).summary() == token })
			if strings.Contains(p.stdout.String(), "A text of the proxy") {
				t.Error("the log quotes the proxy")
			}
		})
	}
}

// namesBoth reports whether /readyz names Dwolla and the provider, for this reason.
func (o *outside) namesBoth(t *testing.T, p *process, reason string) bool {
	t.Helper()
	named := 0
	_, missing := p.readiness(t)
	for _, m := range missing {
		if strings.Contains(m.Reason, reason) && (m.What == "dwolla" || m.What == "identity provider keys") {
			named++
		}
	}
	return named == 2
}

// checkOutage wants 503, or 504, within the usual time.
func (o *outside) checkOutage(t *testing.T, p *process, want string) {
	t.Helper()
	got := o.caller(p, nil).call(t.Context())
	if what := got.summary(); what != unavailable && (want != "" || what != timedOut) || got.defect != "" {
		t.Errorf("a user got %s %s, want 503 or, while it hangs, 504", what, got.defect)
	}
	if took := got.ended.Sub(got.began); took > 8*time.Second {
		t.Errorf("the answer took %s", took)
	}
}

func TestStoppedEgressProxyIsNamed(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	p := o.start(t, map[string]string{"HTTPS_PROXY": strings.Replace(o.proxy.url, "@127.0.0.1:", "@127.0.0.2:", 1)})
	waitFor(t, "both dependencies in /readyz", 20*time.Second, func() bool { return o.namesBoth(t, p, "egress proxy unreachable") })
	o.checkOutage(t, p, unavailable)
}
