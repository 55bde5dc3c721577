// Package otlp samples spans and sends them to a collector, by OTLP over HTTP with
// protobuf. A collector that is slow or away costs spans, never a request. The package
// knows nothing of dropgate's requests, and never sends spans by gRPC.
package otlp

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
)

// Config configures an Exporter. All fields but Headers and Resource are required.
type Config struct {
	Endpoint string // of the collector, with its path
	// Headers returns the headers of a request to the collector. They may change.
	Headers    func() map[string]clienttoken.Secret
	Resource   map[string]string // attributes of the service
	Sampler    sdk.Sampler
	Transport  http.RoundTripper
	Logger     zerolog.Logger // for the start and the end of an outage
	Registerer prometheus.Registerer
}

// The queue holds the spans of about 200 requests. Each has at most about 2 KiB, so the
// queue stays below 4 MiB. While it is full, new spans are dropped.
const (
	maxQueue      = 2048 // spans
	maxBatch      = 512  // spans
	batchInterval = 2 * time.Second
	exportTimeout = 5 * time.Second
)

// Exporter records spans and sends them in the background.
type Exporter struct {
	*sdk.TracerProvider
}

// New returns an exporter. It does not connect, so the service starts while the
// collector is down.
func New(c Config) Exporter {
	return Exporter{sdk.NewTracerProvider(
		sdk.WithSampler(c.Sampler),
		sdk.WithIDGenerator(tracing.IDs{}),
		sdk.WithResource(c.resource()),
		sdk.WithRawSpanLimits(sdk.SpanLimits{
			AttributeValueLengthLimit: 128, AttributeCountLimit: 16,
			EventCountLimit: 1, LinkCountLimit: 1, AttributePerEventCountLimit: 4, AttributePerLinkCountLimit: 4,
		}),
		sdk.WithBatcher(otlptrace.NewUnstarted(newClient(c)),
			sdk.WithMaxQueueSize(maxQueue), sdk.WithMaxExportBatchSize(maxBatch),
			sdk.WithBatchTimeout(batchInterval), sdk.WithExportTimeout(exportTimeout)),
	)}
}

func (c Config) resource() *resource.Resource {
	attributes := make([]attribute.KeyValue, 0, len(c.Resource))
	for key, value := range c.Resource {
		attributes = append(attributes, attribute.String(key, value))
	}
	return resource.NewSchemaless(attributes...)
}

// Close sends the spans in the queue until ctx ends. The error is that of ctx.
func (e Exporter) Close(ctx context.Context) error {
	if err := e.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last spans: %w", err)
	}
	return nil
}
