package tracing

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer begins the spans without a parent in this process. A nil Tracer records
// nothing.
type Tracer struct {
	tracer trace.Tracer
}

// New returns a tracer that records to p.
func New(p trace.TracerProvider) *Tracer { return &Tracer{p.Tracer(scope)} }

// Request begins the span of a request. Its parent is the remote span of
// [WithRemote], if any.
func (t *Tracer) Request(ctx context.Context) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	return ctx, recorded(span)
}

// Process begins an attempt to process an event from a queue. All attempts of an event
// belong to one trace, on all replicas. The link of [Span.LinkToProcessing] leads to
// the first one.
func (t *Tracer) Process(ctx context.Context, name, event string, attempt int) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	place := processing(event)
	if attempt > 1 {
		place = place.WithSpanID(trace.SpanID{})
	}
	started, span := t.tracer.Start(context.WithValue(ctx, placeKey{}, place), name,
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer))
	return started, recorded(span)
}

// recorded is the zero Span for a span that the sampler has dropped.
func recorded(span trace.Span) Span {
	if !span.IsRecording() {
		return Span{}
	}
	return Span{span}
}

// maxTraceState is in bytes. W3C asks to pass on at least as many (Trace Context,
// 3.3.1.5), and the header has room for thousands.
const maxTraceState = 512

// WithRemote returns a context whose spans continue the caller's trace, as the headers
// traceparent and tracestate name it. Call it for trusted callers only. Baggage is
// ignored, because it may hold a user id.
func WithRemote(ctx context.Context, header http.Header) context.Context {
	if len(header["Traceparent"]) != 1 {
		return ctx
	}
	given := propagation.HeaderCarrier{"Traceparent": header["Traceparent"]}
	if state := strings.Join(header["Tracestate"], ","); len(state) <= maxTraceState {
		given["Tracestate"] = []string{state}
	}
	return propagation.TraceContext{}.Extract(ctx, given)
}
