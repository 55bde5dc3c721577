package latency_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"

	"dropgate/internal/latency"
)

// gathered returns the state of a histogram.
func gathered(t *testing.T, h prometheus.Metric) *dto.Histogram {
	t.Helper()
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetHistogram()
}

// quantile computes a quantile from classic buckets as Prometheus does
// (histogram_quantile): by linear interpolation within the bucket of the rank.
func quantile(q float64, h *dto.Histogram) float64 {
	rank := q * float64(h.GetSampleCount())
	lower, below := 0.0, 0.0
	for _, b := range h.GetBucket() {
		count := float64(b.GetCumulativeCount())
		if count >= rank {
			return lower + (b.GetUpperBound()-lower)*(rank-below)/(count-below)
		}
		lower, below = b.GetUpperBound(), count
	}
	return lower // Prometheus, too, returns the last finite bound
}

func TestQuantilesOfCallsAreCloseToTheTruth(t *testing.T) {
	for took := 50 * time.Millisecond; took <= 400*time.Millisecond; took += time.Millisecond {
		for _, q := range []float64{.5, .95, .99} {
			h := prometheus.NewHistogram(latency.Call("a", "b"))
			for range 1000 {
				latency.Observe(t.Context(), h, took)
			}
			got, want := quantile(q, gathered(t, h)), took.Seconds()
			if off := math.Abs(got-want) / want; off > .1 {
				t.Errorf("quantile %v of calls of %v reads %.1f ms: %.1f %% off", q, took, got*1000, off*100)
			}
		}
	}
}

func TestHistogramsAreNativeToo(t *testing.T) {
	for name, options := range map[string]prometheus.HistogramOpts{"call": latency.Call("a", "b"), "store": latency.Store("a", "b")} {
		h := prometheus.NewHistogram(options)
		for i := range 10_000 {
			latency.Observe(t.Context(), h, time.Duration(i*i)*time.Microsecond)
		}
		got := gathered(t, h)
		if spans := got.GetPositiveSpan(); len(spans) == 0 || len(got.GetBucket()) == 0 {
			t.Errorf("%s: %d native spans, %d classic buckets", name, len(spans), len(got.GetBucket()))
		}
		if buckets := len(got.GetPositiveDelta()); buckets > 100 {
			t.Errorf("%s: %d native buckets", name, buckets)
		}
	}
}

func TestOnlySampledTracesBecomeExemplars(t *testing.T) {
	at := func(flags trace.TraceFlags) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 0xab}, SpanID: trace.SpanID{1}, TraceFlags: flags})
	}
	within := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithSpanContext(t.Context(), at(flags))
	}
	elsewhere := trace.ContextWithRemoteSpanContext(t.Context(), at(trace.FlagsSampled))
	exemplars := func(ctx context.Context) (ids []string) {
		h := prometheus.NewHistogram(latency.Call("a", "b"))
		latency.Observe(ctx, h, time.Second)
		for _, bucket := range gathered(t, h).GetBucket() {
			for _, label := range bucket.GetExemplar().GetLabel() {
				ids = append(ids, label.GetName()+"="+label.GetValue())
			}
		}
		return ids
	}
	if got := exemplars(within(trace.FlagsSampled)); len(got) != 1 || got[0] != "trace_id=000000000000000000000000000000ab" {
		t.Errorf("exemplars of a sampled trace: %v", got)
	}
	for name, ctx := range map[string]context.Context{"no trace": t.Context(), "unsampled": within(0), "recorded elsewhere": elsewhere} {
		if got := exemplars(ctx); got != nil {
			t.Errorf("%s: exemplars %v", name, got)
		}
	}
}
