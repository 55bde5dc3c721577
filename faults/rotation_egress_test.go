//go:build faults

package faults_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/tracing/otlptest"
)

// tokenCollector takes spans with one of the accepted keys.
type tokenCollector struct {
	accepted atomic.Pointer[[]string]
	refused  atomic.Int64
	last     atomic.Pointer[string] // the key of the last spans
	spans    *otlptest.Collector
	markUsed func(string)
}

func (c *tokenCollector) accept(keys ...string) { c.accepted.Store(&keys) }

// ServeHTTP implements http.Handler.
func (c *tokenCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given := r.Header.Get("Api-Key")
	if slices.Contains(*c.accepted.Load(), given) {
		c.last.Store(&given)
		c.markUsed(given)
		c.spans.ServeHTTP(w, r)
		return
	}
	c.refused.Add(1)
	w.WriteHeader(http.StatusUnauthorized)
}

// accept lets a proxy accept other passwords.
func (p *egressProxy) accept(passwords ...string) {
	p.set(func(p *egressProxy) {
		p.accepted = map[string]bool{}
		for _, password := range passwords {
			p.accepted[password] = true
		}
	})
}

// with returns the proxy's URL with another password.
func (p *egressProxy) with(t *testing.T, password string) string {
	t.Helper()
	at, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("dropgate", password)
	return at.String()
}

// serveOneByOne serves a host without HTTP/2, whose connections would outlive a change of
// the proxy's password.
func (o *outside) serveOneByOne(t *testing.T, host string, h http.Handler) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.TLS = o.ca.serverOf(t, host)
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	o.proxy.set(func(p *egressProxy) { p.servers[host+":443"] = server.Listener.Addr().String() })
}

// TestOutgoingSecretsRotateUnderLoadWithoutAFailure changes the passwords of both egress
// proxies, and the key of the collector of spans, by the steps of docs/rotation.md. Each
// vend asks the application through one proxy, and Dwolla through the other.
func TestOutgoingSecretsRotateUnderLoadWithoutAFailure(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	plain := newEgressProxy(t, o.secret("the password of HTTP_PROXY"))
	plain.servers["app.test"] = o.serve(t, http.HandlerFunc(o.serveApplication)).Addr
	o.serveOneByOne(t, "dwolla.test", o.dwolla)
	firstKey := o.secret("OTEL_EXPORTER_OTLP_HEADERS")
	collector := &tokenCollector{spans: otlptest.New(t), markUsed: o.secrets.markUsed}
	collector.accept(firstKey)
	settings := map[string]string{
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://app.test/users/{user}", "CUSTOMER_CACHE": "0s",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + o.serve(t, collector).Addr,
	}
	header := func(key string) string { return "api-key=" + url.PathEscape(key) }
	r := newRotation(t, o.world, settings, map[string]string{"HTTPS_PROXY": o.proxy.url, "HTTP_PROXY": plain.url, "OTEL_EXPORTER_OTLP_HEADERS": header(firstKey)})
	r.replicas = []*process{o.start(t, settings), o.start(t, settings)}
	for i, p := range r.replicas {
		o.trusts(t, p)
		bearer := http.Header{"Authorization": {"Bearer " + o.users[i].bearer}}
		r.load.send("a vend", 20*time.Millisecond, func() (*http.Request, error) {
			return post(p.public, "/client-tokens", `{"action":"customer.read"}`, bearer.Clone())
		})
	}
	for setting, proxy := range map[string]*egressProxy{"HTTPS_PROXY": o.proxy, "HTTP_PROXY": plain} {
		next := o.secret("the next password of " + setting)
		proxy.accept(proxy.password, next)
		r.put(t, setting, proxy.with(t, next))
		waitFor(t, "requests with the next password of "+setting, 20*time.Second, func() bool { return proxy.uses(next) >= len(r.replicas) })
		proxy.accept(next)
		last := proxy.uses(proxy.password)
		waitFor(t, "more requests through "+setting, 20*time.Second, func() bool { return setting == "HTTPS_PROXY" || proxy.uses(next) > 100 })
		if proxy.uses(proxy.password) != last {
			t.Errorf("the old password of %s is in use", setting)
		}
		o.secrets.markUsed(proxy.password + " " + next)
	}
	nextKey := o.secret("the next OTEL_EXPORTER_OTLP_HEADERS")
	collector.accept(firstKey, nextKey)
	r.put(t, "OTEL_EXPORTER_OTLP_HEADERS", header(nextKey))
	waitFor(t, "spans with the next key", 30*time.Second, func() bool { last := collector.last.Load(); return last != nil && *last == nextKey })
	collector.accept(nextKey)
	sent := len(collector.spans.Spans())
	waitFor(t, "more spans", 30*time.Second, func() bool { return len(collector.spans.Spans()) > sent+100 })
	r.finish(t)
	if n := collector.refused.Load(); n > 0 {
		t.Errorf("the collector refused %d batches", n)
	}
	for _, p := range r.replicas {
		if strings.Contains(p.stdout.String(), `"level":"error"`) {
			t.Errorf("a replica logged an error:\n%s", p.stdout)
		}
	}
}
