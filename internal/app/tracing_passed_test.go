package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// vendInTrace vends for alice within a trace of the caller's.
func (s *service) vendInTrace(t *testing.T) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(readCustomer))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Traceparent": {callersParent}, "Tracestate": {"a=b"}, "Baggage": {"user=alice"},
		"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.fixture.provider.Bearer("alice")},
	}
	return do(t, r)
}

// TestTrustedTraceReachesApplicationWithoutTracing: the application belongs to the trace
// of the proxy, whatever this service records. Dwolla does not, and no other caller can
// send a trace.
func TestTrustedTraceReachesApplicationWithoutTracing(t *testing.T) {
	var seen, dwolla headers
	application := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen.keep(r)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(rw, `{"sub":"alice","customer":%q,"dwolla_customer":%q}`, alicesCustomer, alicesCustomer)
	}))
	t.Cleanup(application.Close)
	w := newFixture(t)
	w.dwolla.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			dwolla.keep(r)
			next.ServeHTTP(rw, r)
		})
	})
	for _, to := range []map[string]string{
		{"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": application.URL + "/{user}"},
		{"AUTH_MODES": "forward", "AUTH_FORWARD_URL": application.URL + "/me"},
	} {
		for proxies, want := range map[string]string{"": "", "192.0.2.0/24": "", "127.0.0.0/8": callersParent} {
			settings := maps.Clone(to)
			settings["TRUSTED_PROXIES"] = proxies
			s := w.start(t, settings)
			answers(t, "vend", s.vendInTrace(t), http.StatusOK, "")
			s.end(t)
			if passed := seen.get(); passed.Get("Traceparent") != want || (passed.Get("Tracestate") == "a=b") != (want != "") || passed.Get("Baggage") != "" {
				t.Errorf("%v from %q: the application got %v, want traceparent %q", to, proxies, passed, want)
			}
			if passed := dwolla.get(); passed.Get("Traceparent") != "" || passed.Get("X-Request-Id") != "" {
				t.Errorf("Dwolla got %v", passed)
			}
			if strings.Contains(s.logs.String(), callersTrace) {
				t.Error("a line names a trace without a span of this service")
			}
		}
	}
}
