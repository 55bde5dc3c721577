// Package tracing records the steps of a request as OpenTelemetry spans, and passes
// the trace of a request to other services.
//
// Every attribute of a span has a [Key] of this package. It never takes a secret, a
// user id, an address or a URL. Without a [Tracer] nothing is recorded, and no
// function allocates. The package neither exports spans nor reads settings: package
// otlp does.
package tracing
