package otlp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
	"dropgate/internal/tracing/otlp"
	"dropgate/internal/tracing/otlptest"
)

// transport answers without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answering(status int) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("the-very-secret answer"))}, nil
}

// output is a log that can be read at any time.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// exporting is an exporter and what it shows.
type exporting struct {
	otlp.Exporter

	log      output
	registry *prometheus.Registry
}

func export(endpoint string, via http.RoundTripper) *exporting {
	e := &exporting{registry: prometheus.NewRegistry()}
	e.Exporter = otlp.New(otlp.Config{
		Endpoint: endpoint, Headers: func() map[string]clienttoken.Secret {
			return map[string]clienttoken.Secret{"api-key": clienttoken.NewSecret("the-very-secret")}
		},
		Resource: map[string]string{"service.name": "a service"}, Sampler: sdk.AlwaysSample(),
		Transport: via, Logger: zerolog.New(&e.log), Registerer: e.registry,
	})
	return e
}

// record records n traces of one span.
func (e *exporting) record(t *testing.T, n int) {
	t.Helper()
	tracer := tracing.New(e)
	for range n {
		_, span := tracer.Request(t.Context())
		span.End()
	}
}

// counts checks dropgate_trace_spans_total.
func (e *exporting) counts(t *testing.T, sent, lost int) {
	t.Helper()
	want := fmt.Sprintf(`# HELP dropgate_trace_spans_total Spans by outcome: sent to the collector, or lost because it did not accept them.
# TYPE dropgate_trace_spans_total counter
dropgate_trace_spans_total{outcome="lost"} %d
dropgate_trace_spans_total{outcome="sent"} %d
`, lost, sent)
	if err := testutil.GatherAndCompare(e.registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestSpansReachTheCollector(t *testing.T) {
	collector := otlptest.New(t)
	e := export(collector.URL+"/v1/traces", http.DefaultTransport)
	e.record(t, 1)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := collector.Spans()
	if len(spans) != 1 || spans[0].Kind != "SERVER" || spans[0].Service["service.name"] != "a service" {
		t.Errorf("the collector got %+v", spans)
	}
	if got := collector.Requests()[0].Header.Get("Api-Key"); got != "the-very-secret" {
		t.Errorf("the collector got the key %q", got)
	}
	e.counts(t, 1, 0)
}

// TestFailingCollectorLosesSpansOnly also holds that no answer or secret is logged.
func TestFailingCollectorLosesSpansOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		status := http.StatusServiceUnavailable
		e := export("http://collector.example/v1/traces", transport(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			return answering(status)
		}))
		for range 3 {
			e.record(t, 2)
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		e.counts(t, 0, 6)
		mu.Lock()
		status = http.StatusOK
		mu.Unlock()
		e.record(t, 2)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		e.counts(t, 2, 6)
		log := e.log.String()
		if strings.Count(log, "does not accept") != 1 || strings.Count(log, "again") != 1 || !strings.Contains(log, "answered 503") {
			t.Errorf("an outage is not logged once at its start and once at its end: %s", log)
		}
		if strings.Contains(log, "very-secret") {
			t.Errorf("the log shows a secret: %s", log)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHangingCollectorDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := export("http://collector.example/v1/traces", transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		began := time.Now() // by the clock of synctest, which stands still while code runs
		e.record(t, 10_000)
		if took := time.Since(began); took != 0 {
			t.Errorf("10000 spans waited %v for the collector", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Close(ctx); err == nil {
			t.Error("Close succeeded without the collector")
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %v, want at most a second", took)
		}
		time.Sleep(time.Minute) // the last batches time out
	})
}

func TestRedirectDoesNotGetTheKey(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with the key %q", r.Header.Get("Api-Key"))
	}))
	defer elsewhere.Close()
	collector := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer collector.Close()
	e := export(collector.URL+"/v1/traces", http.DefaultTransport)
	e.record(t, 1)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.counts(t, 0, 1)
}
