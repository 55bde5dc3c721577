package tracing_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"dropgate/internal/tracing"
)

// memory returns a tracer and the exporter that it records to.
func memory(sampler sdk.Sampler) (*tracing.Tracer, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	return tracing.New(sdk.NewTracerProvider(sdk.WithSyncer(exporter), sdk.WithSampler(sampler), sdk.WithIDGenerator(tracing.IDs{}))), exporter
}

type request string

func (r request) ID() string { return string(r) }

// steps takes the steps of a vend, as far as this package is concerned.
func steps(ctx context.Context, tracer *tracing.Tracer) {
	ctx, root := tracer.Request(ctx)
	for range 8 {
		_, span := tracing.Start(ctx, "step")
		span.Set(tracing.Mode, "bearer")
		span.SetInt(tracing.Status, 200)
		span.Fail("unavailable")
		span.End()
	}
	root.Set(tracing.RequestID, tracing.TraceID(ctx))
	root.End()
}

func TestTracingOffAllocatesNothing(t *testing.T) {
	ctx := tracing.WithRequest(t.Context(), request("r"))
	if got := testing.AllocsPerRun(100, func() { steps(ctx, nil) }); got != 0 {
		t.Errorf("%v allocations without a tracer", got)
	}
	tracer, exporter := memory(sdk.AlwaysSample())
	steps(ctx, tracer)
	if spans := len(exporter.GetSpans()); spans != 9 {
		t.Errorf("%d spans with a tracer, want 9: the steps record nothing", spans)
	}
}

// BenchmarkSteps compares the steps of a vend without and with a tracer.
func BenchmarkSteps(b *testing.B) {
	recording := tracing.New(sdk.NewTracerProvider())
	for name, tracer := range map[string]*tracing.Tracer{"off": nil, "on": recording} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				steps(b.Context(), tracer)
			}
		})
	}
}

func TestAttributeValuesAreShortValidText(t *testing.T) {
	tracer, exporter := memory(sdk.AlwaysSample())
	_, span := tracer.Request(t.Context())
	span.Set(tracing.DwollaRequestID, strings.Repeat("é", 100)+"x")
	span.Set(tracing.Action, "a\xffb")
	span.Set(tracing.Mode, "")
	span.End()
	got := map[string]string{}
	for _, a := range exporter.GetSpans()[0].Attributes {
		got[string(a.Key)] = a.Value.AsString()
	}
	if got["dropgate.dwolla.request_id"] != strings.Repeat("é", 64) || got["dropgate.action"] != "ab" || len(got) != 2 {
		t.Errorf("attributes %q", got)
	}
}

const (
	remoteTrace = "0af7651916cd43dd8448eb211c80319c"
	remoteSpan  = "b7ad6b7169203331"
	remote      = "00-" + remoteTrace + "-" + remoteSpan + "-01"
)

func TestMalformedRemoteContextBeginsNewTrace(t *testing.T) {
	for name, given := range map[string]http.Header{
		"none":        {},
		"two":         {"Traceparent": {remote, remote}},
		"malformed":   {"Traceparent": {remote[:54]}},
		"version ff":  {"Traceparent": {"ff" + remote[2:]}},
		"zero":        {"Traceparent": {"00-" + strings.Repeat("0", 32) + "-" + remoteSpan + "-01"}},
		"baggage":     {"Baggage": {"user=alice"}},
		"capitalized": {"Traceparent": {strings.ToUpper(remote)}},
	} {
		tracer, exporter := memory(sdk.AlwaysSample())
		_, span := tracer.Request(tracing.WithRemote(t.Context(), given))
		span.End()
		if got := exporter.GetSpans()[0]; got.Parent.IsValid() || got.SpanContext.TraceID().String() == remoteTrace {
			t.Errorf("%s: the span has the parent %v", name, got.Parent)
		}
	}
}

func TestLongTraceStateIsDroppedAlone(t *testing.T) {
	for length, want := range map[int]bool{250: true, 600: false} {
		state := "a=" + strings.Repeat("x", length/2-2) + ",b=" + strings.Repeat("y", length/2-3)
		ctx := tracing.WithRemote(t.Context(), http.Header{"Traceparent": {remote}, "Tracestate": {state}})
		passed := http.Header{"Tracestate": {"forged"}, "X-Request-Id": {"forged"}}
		tracing.Propagate(ctx, passed)
		if passed.Get("Traceparent") != remote || passed.Get("X-Request-Id") != "" || (passed.Get("Tracestate") == state) != want || passed.Get("Tracestate") == "forged" {
			t.Errorf("a state of %d bytes: %v", length, passed)
		}
	}
}

func TestUnsampledTraceIsPassedOnButNotNamed(t *testing.T) {
	tracer, exporter := memory(sdk.NeverSample())
	ctx, span := tracer.Request(tracing.WithRequest(t.Context(), request("r-1")))
	defer span.End()
	passed := http.Header{}
	tracing.Propagate(ctx, passed)
	if !strings.HasSuffix(passed.Get("Traceparent"), "-00") || passed.Get("X-Request-Id") != "r-1" {
		t.Errorf("passed on: %v", passed)
	}
	if tracing.TraceID(ctx) != "" || span.Recording() || len(exporter.GetSpans()) > 0 {
		t.Error("a trace that is not recorded has an id")
	}
}

func TestReceiptLinksToFirstAttemptAnywhere(t *testing.T) {
	receiver, received := memory(sdk.AlwaysSample())
	_, receipt := receiver.Request(t.Context())
	receipt.LinkToProcessing("event-1")
	receipt.End()
	link := received.GetSpans()[0].Links[0].SpanContext

	worker, exporter := memory(sdk.AlwaysSample()) // on another replica
	for event, attempts := range map[string]int{"event-1": 2, "event-2": 1} {
		for attempt := range attempts {
			ctx, span := worker.Process(t.Context(), event, event, attempt+1)
			_, step := tracing.Start(ctx, "step of "+event)
			step.End()
			span.End()
		}
	}
	ids := map[string]int{}
	for _, span := range exporter.GetSpans() {
		at := span.SpanContext
		ids[at.SpanID().String()]++
		if got, want := at.TraceID() == link.TraceID(), strings.HasSuffix(span.Name, "event-1"); got != want {
			t.Errorf("the span %s is in the trace of the link: %t", span.Name, got)
		}
		if strings.HasPrefix(span.Name, "event") && span.Parent.IsValid() {
			t.Errorf("the attempt of %s has a parent", span.Name)
		}
	}
	if len(ids) != 6 || ids[link.SpanID().String()] != 1 {
		t.Errorf("spans by id: %v, want 6 with that of the link, %s", ids, link.SpanID())
	}
}
