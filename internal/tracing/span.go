package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Key names an attribute of a span.
type Key string

// All keys. docs/tracing.md lists them.
const (
	Method          Key = "http.request.method"
	Route           Key = "http.route"
	Status          Key = "http.response.status_code"
	ErrorType       Key = "error.type" // an error code of dropgate, or a kind of fault
	RequestID       Key = "dropgate.request_id"
	Mode            Key = "dropgate.mode"
	Action          Key = "dropgate.action"
	Operation       Key = "dropgate.dwolla.operation"
	DwollaRequestID Key = "dropgate.dwolla.request_id"
	Resend          Key = "http.request.resend_count"
	RetryReason     Key = "dropgate.dwolla.retry_reason"
	Topic           Key = "dropgate.webhook.topic"
	Outcome         Key = "dropgate.webhook.outcome"
	Attempt         Key = "dropgate.webhook.attempt"
)

// Keys lists all keys.
func Keys() []Key {
	return []Key{
		Method, Route, Status, ErrorType, RequestID, Mode, Action, Operation, DwollaRequestID, Resend, RetryReason,
		Topic, Outcome, Attempt,
	}
}

// maxValue is in bytes. Longer values are cut, because callers and Dwolla choose some
// of them.
const maxValue = 128

const scope = "dropgate"

// Span is one step. The zero Span records nothing. End it once.
type Span struct {
	span trace.Span // nil, or recording
}

// Start begins a step of the span in ctx. Without a recorded span in ctx it returns
// ctx and the zero Span.
func Start(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.SpanKindInternal)
}

// StartCall is Start for a call of another service.
func StartCall(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.SpanKindClient)
}

func start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Current returns the span in ctx.
func Current(ctx context.Context) Span {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return Span{span}
	}
	return Span{}
}

// Recording reports whether the span records anything.
func (s Span) Recording() bool { return s.span != nil }

// Set sets an attribute. An empty value sets nothing.
func (s Span) Set(key Key, value string) {
	if s.span == nil || value == "" {
		return
	}
	// Invalid UTF-8 would make the exporter lose the whole batch.
	value = strings.ToValidUTF8(value[:min(len(value), maxValue)], "")
	s.span.SetAttributes(attribute.String(string(key), value))
}

// SetInt sets an attribute.
func (s Span) SetInt(key Key, value int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(string(key), value))
	}
}

// Rename changes the span's name.
func (s Span) Rename(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Fail marks the span as failed. The kind of fault is one of a closed set, because the
// text of an error may hold a user id.
func (s Span) Fail(kind string) {
	if s.span != nil {
		s.Set(ErrorType, kind)
		s.span.SetStatus(codes.Error, "")
	}
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}
