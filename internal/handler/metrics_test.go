package handler_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/handler"
)

// metricsText is the text of GET /metrics.
func (w *world) metricsText() string {
	admin := handler.NewAdmin(handler.AdminConfig{Gatherer: w.registry})
	answer := httptest.NewRecorder()
	admin.ServeHTTP(answer, httptest.NewRequestWithContext(w.tb.Context(), http.MethodGet, "http://localhost/metrics", http.NoBody))
	return answer.Body.String()
}

// series lists all series with labels and a value other than zero.
func (w *world) series() map[string]string {
	all := map[string]string{}
	for text := range strings.Lines(w.metricsText()) {
		name, value, found := strings.Cut(strings.TrimSpace(text), "} ")
		if !strings.HasPrefix(text, "#") && found && value != "0" {
			all[name+"}"] = value
		}
	}
	return all
}

func TestMetricsHaveTheirNamesAndLabels(t *testing.T) {
	w := newWorld(t)
	w.vend(t, alice, `{"action":"customer.read"}`)
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
		slices.Sort(labels)
		got[family.GetName()] = labels
	}
	want := map[string][]string{
		"dropgate_http_requests_total":                          {"code", "method", "route"},
		"dropgate_http_request_duration_seconds":                {"method", "route"},
		"dropgate_http_requests_in_flight":                      nil,
		"dropgate_client_tokens_total":                          {"action", "outcome"},
		"dropgate_forwarded_unreadable_total":                   nil,
		"dropgate_auth_total":                                   {"mode", "outcome", "reason"},
		"dropgate_audit_last_write_timestamp_seconds":           nil,
		"dropgate_audit_write_duration_seconds":                 nil,
		"dropgate_directory_duration_seconds":                   nil,
		"dropgate_dwolla_failing":                               {"operation"},
		"dropgate_jwks_last_success_timestamp_seconds":          nil,
		"dropgate_jwks_refresh_duration_seconds":                nil,
		"dropgate_audit_failures_total":                         nil,
		"dropgate_dwolla_requests_total":                        {"code", "operation"},
		"dropgate_dwolla_request_duration_seconds":              {"operation"},
		"dropgate_dwolla_access_token_expiry_timestamp_seconds": nil,
		"dropgate_dwolla_circuit_state":                         {"operation"},
		"dropgate_dwolla_in_flight":                             nil,
		"dropgate_dwolla_rejected_total":                        {"reason"},
		"dropgate_dwolla_retries_total":                         {"operation", "reason"},
		"dropgate_jwks_refresh_total":                           {"outcome"},
		"dropgate_directory_requests_total":                     {"outcome"},
		"dropgate_rate_limited_total":                           {"scope"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics and their labels (-want +got):\n%s", diff)
	}
}

func TestMetricsCountRequestsAndOutcomes(t *testing.T) {
	w := newWorld(t, basePath("/pay"))
	w.vend(t, alice, `{"action":"customer.read"}`)
	w.vend(t, bob, `{"action":"customer.read"}`)
	w.vend(t, carol, `{"action":"customer.read"}`)
	w.vend(t, alice, `{"action":"customer.destroy"}`)
	w.vend(t, nobody, `{"action":"customer.read"}`)
	w.get(t, alice, "/session")
	w.get(t, alice, "/nowhere")
	got := w.series()
	want := map[string]string{
		`dropgate_http_requests_total{code="200",method="POST",route="/pay/client-tokens"}`:              "2",
		`dropgate_http_requests_total{code="409",method="POST",route="/pay/client-tokens"}`:              "1",
		`dropgate_http_requests_total{code="403",method="POST",route="/pay/client-tokens"}`:              "1",
		`dropgate_http_requests_total{code="401",method="POST",route="/pay/client-tokens"}`:              "1",
		`dropgate_http_requests_total{code="200",method="GET",route="/pay/session"}`:                     "1",
		`dropgate_http_requests_total{code="404",method="GET",route="none"}`:                             "1",
		`dropgate_http_request_duration_seconds_count{method="POST",route="/pay/client-tokens"}`:         "5",
		`dropgate_client_tokens_total{action="customer.read",outcome="vended"}`:                          "2",
		`dropgate_client_tokens_total{action="customer.read",outcome="CustomerNotLinked"}`:               "1",
		`dropgate_client_tokens_total{action="unknown",outcome="ActionNotAllowed"}`:                      "1",
		`dropgate_client_tokens_total{action="unknown",outcome="Unauthenticated"}`:                       "1",
		`dropgate_auth_total{mode="bearer",outcome="accepted",reason="none"}`:                            "5",
		`dropgate_auth_total{mode="none",outcome="rejected",reason="no_credentials"}`:                    "1",
		`dropgate_dwolla_requests_total{code="200",operation="create_client_token"}`:                     "2",
		`dropgate_http_request_duration_seconds_bucket{method="POST",route="/pay/client-tokens",le="1"}`: "",
	}
	for name, value := range want {
		if _, there := got[name]; !there && value != "" {
			t.Errorf("no series %s", name)
		} else if value != "" && got[name] != value {
			t.Errorf("%s is %s, want %s", name, got[name], value)
		}
	}
	if !strings.Contains(w.metricsText(), "\ndropgate_http_requests_in_flight 0\n") {
		t.Error("requests are in flight when all are answered")
	}
}

func TestCallersCannotAddMetricLabels(t *testing.T) {
	w := newWorld(t, allowedOrigins("https://app.example.com"))
	strange := func(i int) {
		word := fmt.Sprintf("STRANGE%d", i)
		w.do(t, w.request(alice, word, "/client-tokens"))
		w.do(t, w.request(alice, word, "/nowhere"))
		w.get(t, alice, "/"+word+"/client-tokens", header("Origin", "https://"+word+".example.com"))
		w.vend(t, alice, `{"action":"`+word+`"}`, header("User-Agent", word), header("X-Request-Id", word))
		w.vend(t, alice, `{"action":"customer.read"}`, header("Origin", "https://"+word+".example.com"), header("Sec-Fetch-Site", word))
		w.vend(t, alice, `{"action":"customer.read","links":{"`+word+`":{"href":"x"}}}`)
		w.vend(t, nobody, `{}`, header("Authorization", "Bearer "+word))
	}
	strange(0)
	before := len(w.series())
	for i := range 200 {
		strange(i + 1)
	}
	if after := len(w.series()); after != before {
		t.Errorf("%d series before and %d after 200 strangers", before, after)
	}
	for name := range w.series() {
		if strings.Contains(strings.ToLower(name), "strange") {
			t.Errorf("a stranger's word is in %s", name)
		}
	}
}

func TestMetricsKnowEveryActionByName(t *testing.T) {
	w := newWorld(t)
	for _, action := range clienttoken.Actions() {
		w.vend(t, alice, `{"action":"`+string(action)+`"}`)
	}
	seen := map[string]bool{}
	for name := range w.series() {
		if _, action, found := strings.Cut(name, `tokens_total{action="`); found {
			action, _, _ = strings.Cut(action, `"`)
			seen[action] = true
		}
	}
	for _, action := range clienttoken.Actions() {
		if !seen[string(action)] {
			t.Errorf("no series for %s", action)
		}
	}
	if len(seen) != len(clienttoken.Actions()) {
		t.Errorf("the series are of %v", seen)
	}
}

func TestARequestIsInFlightUntilItsLastLine(t *testing.T) {
	w := newWorld(t)
	var at []float64
	w.logs.seen = func(text string) {
		if strings.Contains(text, `"log":"access"`) {
			at = append(at, w.inFlight(t))
		}
	}
	w.vend(t, alice, `{"action":"customer.read"}`)
	w.vend(t, alice, `{"action":"customer.transfers.send"}`)
	if !slices.Equal(at, []float64{1, 1}) || w.inFlight(t) != 0 {
		t.Errorf("in flight while the access lines were written: %v, and at the end: %v", at, w.inFlight(t))
	}
}

func (w *world) inFlight(t *testing.T) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "dropgate_http_requests_in_flight" {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no such metric")
	return 0
}

// A counter that appears with its first error has no increase for Prometheus.
func TestSeriesOfErrorsExistBeforeTheFirstOne(t *testing.T) {
	w := newWorld(t)
	before := w.metricsText()
	w.vend(t, carol, `{"action":"customer.read"}`)
	w.vend(t, alice, `{"action":"customer.destroy"}`)
	w.vend(t, alice, `{"action":7}`)
	w.vend(t, alice, `{}`)
	w.vend(t, nobody, `{"action":"customer.read"}`)
	w.vend(t, alice, `{"action":"customer.read"}`, header("Content-Type", "text/plain"))
	w.vend(t, alice, `{"action":"customer.read","links":{"customer":{"href":"`+sandboxRoot+`/customers/`+bobsID+`"}}}`)
	w.vend(t, nobody, `{}`, header("Authorization", "Bearer garbage"))
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: status, Times: 2})
		w.vend(t, alice, `{"action":"customer.read"}`)
	}
	w.get(t, nobody, "/session")
	w.sink.breaks(errors.New("no space left on device"), nil)
	w.vend(t, alice, `{"action":"customer.read"}`)
	w.sink.breaks(nil, nil)
	for series := range w.series() {
		if !strings.Contains(before, series) {
			t.Errorf("%s appeared with its first request", series)
		}
	}
}

func TestMetricsAreOpenMetricsOnRequest(t *testing.T) {
	w := newWorld(t)
	admin := handler.NewAdmin(handler.AdminConfig{Gatherer: w.registry})
	for accept, want := range map[string]string{
		"": "text/plain", "application/openmetrics-text; version=1.0.0": "application/openmetrics-text",
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited": "application/vnd.google.protobuf",
	} {
		answer := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/metrics", http.NoBody)
		r.Header.Set("Accept", accept)
		admin.ServeHTTP(answer, r)
		if got, _, _ := strings.Cut(answer.Header().Get("Content-Type"), ";"); got != want || answer.Code != http.StatusOK {
			t.Errorf("Accept %q: %d %s, want %s", accept, answer.Code, got, want)
		}
	}
}
