package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHangingCollectorDelaysNoVendOrStop(t *testing.T) {
	released := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(released) })
	s := newFixture(t).start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": hanging.URL})
	for range 20 {
		if got := s.vend(t, "alice", readCustomer); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	s.end(t)
	log := s.logs.String()
	if !strings.Contains(log, "the last spans are lost") || strings.Contains(log, "did not close in time") {
		t.Errorf("the end waited for the collector: %s", log)
	}
}

func TestTracingSettingsHaveNamedFaults(t *testing.T) {
	for want, changes := range map[string]map[string]string{
		"OTEL_TRACES_EXPORTER: must be otlp or none":                               {"OTEL_TRACES_EXPORTER": "console"},
		"OTEL_EXPORTER_OTLP_ENDPOINT: is required":                                 {"OTEL_TRACES_EXPORTER": "otlp"},
		"OTEL_EXPORTER_OTLP_PROTOCOL: must be http/":                               {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"OTEL_EXPORTER_OTLP_ENDPOINT: is not a URL":                                {"OTEL_EXPORTER_OTLP_ENDPOINT": "otel-collector:4318"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: \"http://…\" must not have user info": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://me:very-secret@collector:4318"},
		"OTEL_EXPORTER_OTLP_HEADERS: must be comma-separated":                      {"OTEL_EXPORTER_OTLP_HEADERS": "the-very-secret"},
		"OTEL_EXPORTER_OTLP_HEADERS: has a name or a value":                        {"OTEL_EXPORTER_OTLP_HEADERS": "key=very-secret%0d%0ax: y"},
		"OTEL_TRACES_SAMPLER: must be always_on":                                   {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
		"OTEL_TRACES_SAMPLER: traceidratio needs":                                  {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"},
		"OTEL_RESOURCE_ATTRIBUTES: must be comma-separated":                        {"OTEL_RESOURCE_ATTRIBUTES": "prod"},
		"OTEL_EXPORTER_OTLP_ENDPOINT: must be https in production": {
			"DWOLLA_ENVIRONMENT": "production", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=very-secret", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318",
		},
		"DWOLLA_TRACE_CONTEXT: ": {"DWOLLA_TRACE_CONTEXT": "perhaps"},
	} {
		if faults := faultsOf(t, changes); len(faults) != 1 || !strings.HasPrefix(faults[0], want) {
			t.Errorf("%v: %q, want %q", changes, faults, want)
		}
	}
	for _, changes := range []map[string]string{
		{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
		{"OTEL_EXPORTER_OTLP_HEADERS": "api-key=very-secret, x=%20y", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
		{"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
	} {
		if faults := faultsOf(t, changes); len(faults) > 0 {
			t.Errorf("%v: %q", changes, faults)
		}
	}
}

// TestUnrecordedTracesAreNotSent: the sampler drops all, or the exporter is none.
func TestUnrecordedTracesAreNotSent(t *testing.T) {
	w := newFixture(t)
	for _, changes := range []map[string]string{{"OTEL_TRACES_SAMPLER": "always_off"}, {"OTEL_TRACES_EXPORTER": "none"}} {
		s, collector := w.traced(t, changes)
		s.vend(t, "alice", readCustomer)
		s.end(t)
		if len(collector.Spans()) > 0 || strings.Contains(s.logs.String(), "trace_id") {
			t.Errorf("%v: spans are sent, or a line names a trace", changes)
		}
	}
}
