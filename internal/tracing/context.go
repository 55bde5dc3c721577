package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Request is what other services learn about a request.
type Request interface {
	ID() string
}

type requestKey struct{}

// WithRequest returns ctx for the work of a request.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf returns the request of [WithRequest], or nil.
func RequestOf(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// Propagate adds the request's id and the current span to the headers of a call, as
// X-Request-Id, traceparent and tracestate. Without a span of this process, it adds that
// of [WithRemote]. Without them it removes these headers.
func Propagate(ctx context.Context, header http.Header) {
	for _, name := range []string{"X-Request-Id", "Traceparent", "Tracestate"} {
		header.Del(name)
	}
	if r := RequestOf(ctx); r != nil {
		header["X-Request-Id"] = []string{r.ID()}
	}
	if trace.SpanContextFromContext(ctx).IsValid() {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// TraceID returns the id of the trace in ctx, or "" unless this process records it.
func TraceID(ctx context.Context) string {
	if at := trace.SpanContextFromContext(ctx); at.IsSampled() && !at.IsRemote() {
		return at.TraceID().String()
	}
	return ""
}
