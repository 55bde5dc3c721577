package dwolla

import (
	"dropgate/internal/tracing"
)

// endAttempt ends the span of an attempt. It takes nothing of Dwolla's answer but the
// status and Dwolla's request id.
func endAttempt(span tracing.Span, call *call, got answer, fault *Error) {
	if !span.Recording() {
		return
	}
	defer span.End()
	span.Rename("dwolla " + string(call.operation))
	span.Set(tracing.Operation, string(call.operation))
	span.Set(tracing.Method, call.method)
	if call.retry != noRetry {
		span.SetInt(tracing.Resend, 1)
		span.Set(tracing.RetryReason, string(call.retry))
	}
	if fault == nil {
		span.SetInt(tracing.Status, got.status)
		span.Set(tracing.DwollaRequestID, got.requestID)
		return
	}
	if fault.Status != 0 {
		span.SetInt(tracing.Status, fault.Status)
	}
	span.Set(tracing.DwollaRequestID, fault.RequestID)
	span.Fail(code(fault))
}
