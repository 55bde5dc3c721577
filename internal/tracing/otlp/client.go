package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"dropgate/internal/clienttoken"
	"dropgate/internal/httpbody"
)

// client sends batches of spans to the collector. The client of OpenTelemetry, package
// otlptracehttp, would add gRPC and 12 MB to the binary (docs/decisions/0032).
type client struct {
	endpoint  string
	headers   func() map[string]clienttoken.Secret // nil: none
	transport http.RoundTripper                    // without an http.Client, which would follow redirects
	log       zerolog.Logger
	down      atomic.Bool // the last batch was lost
	sent      prometheus.Counter
	lost      prometheus.Counter
}

func newClient(c Config) *client {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dropgate_trace_spans_total",
		Help: "Spans by outcome: sent to the collector, or lost because it did not accept them.",
	}, []string{"outcome"})
	c.Registerer.MustRegister(spans)
	return &client{
		endpoint: c.Endpoint, headers: c.Headers, transport: c.Transport, log: c.Logger,
		sent: spans.WithLabelValues("sent"), lost: spans.WithLabelValues("lost"),
	}
}

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error { return nil }

// UploadTraces implements otlptrace.Client. It returns no error: the library would
// write each one to the process's global logger.
func (c *client) UploadTraces(ctx context.Context, batch []*tracepb.ResourceSpans) error {
	count := 0.0
	for _, resource := range batch {
		for _, scope := range resource.GetScopeSpans() {
			count += float64(len(scope.GetSpans()))
		}
	}
	err := c.send(ctx, batch)
	if err == nil {
		c.sent.Add(count)
	} else {
		c.lost.Add(count)
	}
	switch down := err != nil; {
	case c.down.Swap(down) == down:
	case down:
		c.log.Warn().Err(err).Msg("the trace collector does not accept spans: they are lost, and requests go on")
	default:
		c.log.Info().Msg("the trace collector accepts spans again")
	}
	return nil
}

// maxAnswer bounds the read of an answer, in bytes. A read to the end lets the
// connection be reused.
const maxAnswer = 64 << 10

// send sends a batch once. A batch that fails is not sent again, or the queue would
// fill meanwhile.
func (c *client) send(ctx context.Context, batch []*tracepb.ResourceSpans) error {
	// TracesData and the request of OTLP have the same encoding (opentelemetry-proto,
	// trace.proto).
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: batch})
	if err != nil {
		return fmt.Errorf("encoding spans: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return httpbody.ErrNotHTTP // err quotes the URL
	}
	if c.headers != nil {
		for name, value := range c.headers() {
			req.Header.Set(name, value.Reveal())
		}
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "dropgate")
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return httpbody.RedactError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}
