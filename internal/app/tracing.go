package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
	"dropgate/internal/tracing/otlp"
)

// traceConfig is what the OTEL settings say. Without an endpoint tracing is off.
type traceConfig struct {
	endpoint string
	headers  map[string]clienttoken.Secret
	resource map[string]string
	sampler  sdk.Sampler
}

func (f faults) parseTracing(c *Config) {
	var err error
	c.tracing.sampler, err = parseSampler(c.TraceSampler, c.TraceSamplerArg)
	f.addError("OTEL_TRACES_SAMPLER", err)
	c.tracing.resource, err = parsePairs(c.TraceResource)
	f.addError("OTEL_RESOURCE_ATTRIBUTES", err)
	headers, err := parsePairs(c.TraceHeaders.Reveal())
	f.addError("OTEL_EXPORTER_OTLP_HEADERS", err)
	c.tracing.headers = map[string]clienttoken.Secret{}
	for name, value := range headers {
		if !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			f.add("OTEL_EXPORTER_OTLP_HEADERS", "has a name or a value that no header can have")
			continue
		}
		c.tracing.headers[name] = clienttoken.NewSecret(value)
	}
	if c.TraceExporter == "none" {
		return
	}
	switch c.tracing.endpoint = c.TracesEndpoint; {
	case c.tracing.endpoint != "":
	case c.TraceEndpoint != "":
		c.tracing.endpoint = strings.TrimSuffix(c.TraceEndpoint, "/") + "/v1/traces"
	case c.TraceExporter == "otlp":
		f.add("OTEL_EXPORTER_OTLP_ENDPOINT", "is required for OTEL_TRACES_EXPORTER=otlp, such as http://localhost:4318")
	}
}

// parseSampler reads the names of OpenTelemetry.
func parseSampler(name, arg string) (sdk.Sampler, error) {
	kind, follows := strings.CutPrefix(name, "parentbased_")
	var sampler sdk.Sampler
	switch kind {
	case "always_on":
		sampler = sdk.AlwaysSample()
	case "always_off":
		sampler = sdk.NeverSample()
	case "traceidratio":
		part, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(part >= 0 && part <= 1) { // also NaN
			return nil, errors.New("traceidratio needs an OTEL_TRACES_SAMPLER_ARG between 0 and 1")
		}
		sampler = sdk.TraceIDRatioBased(part)
	default:
		return nil, errors.New("must be always_on, always_off, traceidratio, or parentbased_ with one of these")
	}
	if follows {
		return sdk.ParentBased(sampler), nil
	}
	return sampler, nil
}

// maxPairs bounds the attributes of a resource, which each batch repeats, and the
// headers.
const maxPairs = 32

// parsePairs reads name=value pairs (W3C Baggage without properties). The error quotes
// none of them.
func parsePairs(list string) (map[string]string, error) {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || name == "" || err != nil {
			return nil, errors.New("must be comma-separated NAME=VALUE pairs with percent-encoded values")
		}
		if pairs[name] = value; len(pairs) > maxPairs {
			return nil, fmt.Errorf("has more than %d pairs", maxPairs)
		}
	}
	return pairs, nil
}

// traces checks the settings of tracing.
func (k checker) traces() {
	if k.TraceExporter != "" && k.TraceExporter != "otlp" && k.TraceExporter != "none" {
		k.fail("OTEL_TRACES_EXPORTER", "must be otlp or none")
	}
	if k.TraceProtocol != "http/protobuf" {
		k.fail("OTEL_EXPORTER_OTLP_PROTOCOL", "must be http/protobuf, which collectors accept on port 4318")
	}
	for name, raw := range map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": k.TraceEndpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": k.TracesEndpoint} {
		if raw == "" {
			continue
		}
		u, err := url.Parse(raw)
		switch {
		case mayHoldSecret(raw):
			k.fail(name, shown(raw)+" must not have user info, a query or a fragment: put keys into OTEL_EXPORTER_OTLP_HEADERS")
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			k.fail(name, "is not a URL such as http://otel-collector:4318")
		case k.Environment == clienttoken.Production && !k.TraceHeaders.IsZero() && u.Scheme != "https" && !isLoopback(u.Hostname()):
			k.fail(name, "must be https in production, because OTEL_EXPORTER_OTLP_HEADERS is set")
		}
	}
}

// openTracing returns the tracer, or nil without an exporter.
func (a *App) openTracing(version string, registry prometheus.Registerer) *tracing.Tracer {
	c := a.config
	if c.tracing.endpoint == "" {
		return nil
	}
	resource := map[string]string{}
	maps.Copy(resource, c.tracing.resource)
	resource["service.version"] = version
	if resource["service.name"] == "" || c.TraceServiceName != "dropgate" {
		resource["service.name"] = c.TraceServiceName
	}
	exporter := otlp.New(otlp.Config{
		Endpoint: c.tracing.endpoint, Resource: resource, Sampler: c.tracing.sampler,
		Headers:   func() map[string]clienttoken.Secret { return a.live.Load().tracing.headers },
		Transport: a.egress, Logger: a.log, Registerer: registry,
	})
	a.traces = &exporter
	return tracing.New(exporter)
}

// lastSpansWithin bounds how long the end waits for the collector.
const lastSpansWithin = 500 * time.Millisecond

// closeTracing sends the last spans.
func (a *App) closeTracing() {
	if a.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastSpansWithin)
	defer cancel()
	if err := a.traces.Close(ctx); err != nil {
		a.log.Warn().Err(err).Msg("the last spans are lost")
	}
}

// tracedPolicy gives each evaluation a span.
type tracedPolicy struct{ clienttoken.Policy }

// policy returns the rules about actions. Without tracing they are bare.
func (a *App) policy() clienttoken.Policy {
	if a.tracer == nil {
		return a.config.actionRules()
	}
	return tracedPolicy{a.config.actionRules()}
}

// For implements clienttoken.Policy.
func (p tracedPolicy) For(ctx context.Context, user clienttoken.User) (clienttoken.Allowed, error) {
	ctx, span := tracing.Start(ctx, "policy")
	defer span.End()
	allowed, err := p.Policy.For(ctx, user)
	if err != nil {
		span.Fail("unavailable")
	}
	return allowed, err
}
