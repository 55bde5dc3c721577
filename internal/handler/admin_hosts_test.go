package handler_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/handler"
)

// admins is the admin listener of a Pod with an IPv4 and an IPv6 address.
func admins(logs *logs) http.Handler {
	addresses := func() ([]net.Addr, error) {
		var all []net.Addr
		for address, bits := range map[string]int{"127.0.0.1": 8, "10.42.7.9": 24, "2001:db8::9": 64, "fe80::9": 64} {
			all = append(all, &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(bits, 128)})
		}
		return all, nil
	}
	return handler.NewAdmin(handler.AdminConfig{
		Ready: func(context.Context) handler.Readiness { return handler.Readiness{} }, Gatherer: prometheus.NewRegistry(),
		Hosts:  handler.AdminHosts{Names: []string{"dropgate.payments.svc", "203.0.113.7", "2001:db8::77"}, Addresses: addresses},
		Logger: zerolog.New(logs),
	})
}

// addressed returns a request for target with this Host.
func addressed(t *testing.T, target, host string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	r.Host = host
	return r
}

func TestAdminListenerRefusesForeignHosts(t *testing.T) {
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9090": 200, "LocalHost:9090": 200, "localhost.": 200, "localhost.:9090": 200,
		"127.0.0.1:9090": 200, "127.0.0.1": 200, "127.8.8.8:1": 200, "[::1]:9090": 200, "[::1]": 200, "[::ffff:127.0.0.1]:9090": 200,
		"10.42.7.9:9090": 200, "10.42.7.9": 200, "[::ffff:10.42.7.9]:9090": 200, "[2001:db8::9]:9090": 200, "[2001:DB8:0:0::9]": 200, "[fe80::9%25eth0]:9090": 200,
		"dropgate.payments.svc:9090": 200, "DROPGATE.payments.svc": 200, "dropgate.payments.svc.:9090": 200, "203.0.113.7:9090": 200, "[2001:db8::77]:1": 200,
		"evil.example": 421, "evil.example:9090": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:9090": 421, "10.42.7.9.nip.io": 421,
		"dropgate.payments.svc.evil.example": 421, "x.dropgate.payments.svc": 421, "x.localhost:9090": 421, "localhost..": 421,
		"10.42.7.8:9090": 421, "[2001:db8::8]:9090": 421, "0.0.0.0:9090": 421, "[::]:9090": 421, "127.1:9090": 421, "0x7f.0.0.1": 421, "2130706433": 421,
		"": 421, ":9090": 421, "localhost:9090:9090": 421, "[localhost]:9090": 200, "evil@localhost": 421, "localhost,evil.example": 421, "localhost evil.example": 421,
	} {
		for _, path := range []string{"/livez", "/readyz", "/metrics", "/version", "/nothing"} {
			logs := newLogs()
			w := httptest.NewRecorder()
			admins(logs).ServeHTTP(w, addressed(t, path, host))
			expected := want
			if want == http.StatusOK && path == "/nothing" {
				expected = http.StatusNotFound
			}
			if w.Code != expected {
				t.Errorf("%q%s: %d %s", host, path, w.Code, w.Body)
			}
			if w.Code == http.StatusMisdirectedRequest && (!strings.Contains(w.Body.String(), `"code":"MisdirectedRequest"`) ||
				!strings.Contains(w.Body.String(), `"requestId":"`) || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(logs.text(), "ADMIN_HOSTS")) {
				t.Errorf("%q: %v %s, log %s", host, w.Header(), w.Body, logs.text())
			}
		}
	}
}

// Old health checks speak HTTP/1.0 without a Host. No browser does.
func TestAdminListenerAcceptsHTTP10WithoutHost(t *testing.T) {
	for version, want := range map[string]int{"HTTP/1.0": http.StatusOK, "HTTP/1.1": http.StatusMisdirectedRequest} {
		r := addressed(t, "/livez", "")
		r.Proto = version
		r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(version)
		w := httptest.NewRecorder()
		admins(newLogs()).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d", version, w.Code)
		}
	}
}

func TestAdminListenerRefusesWebPages(t *testing.T) {
	for name, test := range map[string]struct {
		header http.Header
		want   int
	}{
		"a typed address":             {http.Header{"Sec-Fetch-Site": {"none"}}, 200},
		"a page of another site":      {http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"a page of the same site":     {http.Header{"Sec-Fetch-Site": {"same-site"}}, 403},
		"its origin alone":            {http.Header{"Origin": {"https://evil.example"}}, 403},
		"a page without an origin":    {http.Header{"Origin": {"null"}}, 403},
		"a scrape":                    {http.Header{"User-Agent": {"Prometheus/3.0"}}, 200},
		"what a browser may say next": {http.Header{"Sec-Fetch-Site": {"new-word"}}, 403},
	} {
		r := addressed(t, "/metrics", "127.0.0.1:9090")
		r.Header = test.header
		w := httptest.NewRecorder()
		admins(newLogs()).ServeHTTP(w, r)
		if w.Code != test.want || test.want != 200 && !strings.Contains(w.Body.String(), `"code":"CrossOriginRequest"`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
