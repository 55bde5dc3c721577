package handler

import (
	"cmp"
	"context"
	"net/http"

	"dropgate/internal/auth"
	"dropgate/internal/ratelimit"
	"dropgate/internal/tracing"
)

// trace begins the span of the request. Only a trusted proxy can make it part of its
// own trace: another caller could join a trace that is not its own, or have each of its
// requests recorded. Without tracing here, the application still gets the proxy's trace.
func (h *handler) trace(ctx context.Context, r *http.Request, log *requestLog) context.Context {
	if auth.PeerWithin(r, h.TrustedProxies) {
		ctx = tracing.WithRemote(ctx, r.Header)
	}
	if h.Tracer == nil {
		return ctx
	}
	ctx, log.span = h.Tracer.Request(ctx)
	log.traceID = tracing.TraceID(ctx)
	return ctx
}

// endSpan describes the request by its route pattern. Its path may hold a user id, and
// its query a code of the identity provider.
func (log *requestLog) endSpan(method, route string, status int) {
	if !log.span.Recording() {
		return
	}
	log.span.Rename(method + " " + route)
	log.span.Set(tracing.RequestID, log.requestID)
	log.span.Set(tracing.Method, method)
	log.span.Set(tracing.Route, route)
	log.span.SetInt(tracing.Status, status)
	log.span.Set(tracing.Mode, log.mode)
	log.span.Set(tracing.Action, log.action)
	if status >= http.StatusInternalServerError {
		log.span.Fail(cmp.Or(log.code, string(serverError)))
	} else {
		log.span.Set(tracing.ErrorType, log.code)
	}
	log.span.End()
}

// authenticate finds the session of the request, in a span of its own.
func (h *handler) authenticate(r *http.Request, charge *ratelimit.Charge) (auth.Session, error) {
	ctx, span := tracing.Start(r.Context(), "credentials")
	defer span.End()
	if span.Recording() {
		r = r.WithContext(ctx)
	}
	return h.Auth.Authenticate(r, charge)
}
