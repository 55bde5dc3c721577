// Package otlptest starts an OpenTelemetry collector for a test, on 127.0.0.1, and
// stops it when the test ends. It decodes the spans it receives by OTLP over HTTP with
// protobuf, and keeps them all.
//
// It is for tests only. It does not import the exporter, so that a test of it gets an
// independent opinion.
package otlptest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a received span.
type Span struct {
	Name, Kind        string // the kind as in "SERVER"
	TraceID, ID       string
	ParentID          string // empty for a root
	Attributes        map[string]string
	Failed            bool
	Links             []string // trace and span id, with a slash between them
	Service           map[string]string
	Events, StatusMsg string
}

// Collector is a running collector. It is safe for concurrent use.
type Collector struct {
	URL string // for OTEL_EXPORTER_OTLP_ENDPOINT

	tb       testing.TB
	mu       sync.Mutex
	spans    []Span
	requests []*http.Request
}

// New starts a collector.
func New(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{tb: tb}
	server := httptest.NewServer(c)
	tb.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// ServeHTTP accepts a batch. A request of another kind fails the test.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	// The request of OTLP has the same encoding. Its package would add gRPC to go.mod.
	batch := &trace.TracesData{}
	if err == nil {
		err = proto.Unmarshal(body, batch)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.tb.Errorf("the collector got %s %s with %d bytes of %s: %v", r.Method, r.URL.Path, len(body), r.Header.Get("Content-Type"), err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	for _, resource := range batch.GetResourceSpans() {
		service := texts(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, decoded(s, service))
			}
		}
	}
}

func decoded(s *trace.Span, service map[string]string) Span {
	span := Span{
		Name: s.GetName(), Kind: strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"),
		TraceID: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), ParentID: hex.EncodeToString(s.GetParentSpanId()),
		Attributes: texts(s.GetAttributes()), Service: service,
		Failed: s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR, StatusMsg: s.GetStatus().GetMessage() + s.GetTraceState(),
		Events: fmt.Sprint(s.GetEvents()),
	}
	for _, link := range s.GetLinks() {
		span.Links = append(span.Links, hex.EncodeToString(link.GetTraceId())+"/"+hex.EncodeToString(link.GetSpanId()))
	}
	return span
}

func texts(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[a.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			all[a.GetKey()] = fmt.Sprint(v.IntValue)
		default:
			all[a.GetKey()] = a.GetValue().String()
		}
	}
	return all
}

// Spans returns the received spans.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Requests returns the received requests, without bodies.
func (c *Collector) Requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Text is all that was received, for a search.
func (c *Collector) Text() string {
	var b strings.Builder
	for _, s := range c.Spans() {
		fmt.Fprintf(&b, "%+v\n", s)
	}
	return b.String()
}

// Named returns the spans with a name.
func (c *Collector) Named(name string) []Span {
	return slices.DeleteFunc(c.Spans(), func(s Span) bool { return s.Name != name })
}
