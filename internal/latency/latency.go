// Package latency makes the histograms of durations. All packages use it, so that their
// histograms have the same buckets, and so that there is one place for exemplars. It
// names no metric and decides nothing.
package latency

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// The bounds of native histograms. One costs at most some 100 buckets, and starts anew at
// most once an hour if it needs more.
const (
	nativeFactor    = 1.1
	nativeBuckets   = 100
	nativeResetTime = time.Hour
)

// Call returns the options of a histogram of requests over the internet, or of requests
// that wait for those. From 50 to 400 ms, a quantile that Prometheus computes is at most
// 10 % off, even if all requests take equally long.
func Call(name, help string) prometheus.HistogramOpts {
	return options(name, help, []float64{
		.001, .0025, .005, .01, .025,
		.046, .05, .055, .06, .066, .072, .079, .086, .093, .1, .11, .12, .13, .14, .15, .165, .182, .2, .22, .235, .25, .275, .3, .33, .363, .4,
		.5, .75, 1, 2.5, 5, 10, 25,
	})
}

// Store returns the options of a histogram of requests to a store or a file nearby.
func Store(name, help string) prometheus.HistogramOpts {
	return options(name, help, []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10})
}

func options(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     nativeFactor,
		NativeHistogramMaxBucketNumber:  nativeBuckets,
		NativeHistogramMinResetDuration: nativeResetTime,
	}
}

// Observe adds a duration. If this process records the trace of ctx, its id becomes the
// exemplar.
func Observe(ctx context.Context, o prometheus.Observer, took time.Duration) {
	span := trace.SpanContextFromContext(ctx)
	if traced, ok := o.(prometheus.ExemplarObserver); ok && span.IsSampled() && span.HasTraceID() && !span.IsRemote() {
		traced.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": span.TraceID().String()})
		return
	}
	o.Observe(took.Seconds())
}

// Resolve returns the observers of all values of the only label of a histogram, for calls
// that are too frequent to look them up. It also makes the series exist from the start.
func Resolve[Value ~string](h *prometheus.HistogramVec, values ...Value) map[Value]prometheus.Observer {
	all := make(map[Value]prometheus.Observer, len(values))
	for _, value := range values {
		all[value] = h.WithLabelValues(string(value))
	}
	return all
}
