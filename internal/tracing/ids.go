package tracing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"go.opentelemetry.io/otel/trace"
)

type placeKey struct{}

// processing is where the first attempt to process an event is recorded. It follows
// from the event's id, so the queue stores nothing, and each replica computes the same.
func processing(event string) trace.SpanContext {
	sum := sha256.Sum256([]byte("dropgate processing 1\x00" + event))
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(sum[:16]), SpanID: trace.SpanID(sum[16:24]), TraceFlags: trace.FlagsSampled,
	})
}

// LinkToProcessing links the span to the first attempt to process an event.
func (s Span) LinkToProcessing(event string) {
	if s.span != nil {
		s.span.AddLink(trace.Link{SpanContext: processing(event)})
	}
}

// IDs makes the ids of spans. They are random, except those of [Tracer.Process].
type IDs struct{}

// NewIDs returns the ids of a span that begins a trace.
func (ids IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	place, _ := ctx.Value(placeKey{}).(trace.SpanContext)
	traceID, spanID := place.TraceID(), place.SpanID()
	if !traceID.IsValid() {
		_, _ = rand.Read(traceID[:]) // never fails
	}
	if !spanID.IsValid() {
		spanID = ids.NewSpanID(ctx, traceID)
	}
	return traceID, spanID
}

// NewSpanID returns the id of any other span.
func (IDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}
