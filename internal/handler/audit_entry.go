package handler

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"dropgate/internal/audit"
	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
)

// auditedAs makes requests leave an audit entry about event. A request of an
// unknown user leaves only its access line.
func auditedAs(event audit.Event) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requestLogOf(r).event = event
			next.ServeHTTP(w, r)
		})
	}
}

// auditRetryAfter is the Retry-After while the audit sink fails.
const auditRetryAfter = 5 * time.Second

func auditFailure(err error) error {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: auditRetryAfter, Err: err}
}

// checkAuditSink fails while the audit sink does, before the request does any
// work that could not be recorded.
func (h *handler) checkAuditSink() error {
	if err := h.Audit.Fault(); err != nil {
		return auditFailure(err)
	}
	return nil
}

// writeEntry writes the request's audit entry, once. After an error, nothing that
// the request asked for may leave the service.
func (h *handler) writeEntry(r *http.Request) error {
	log := requestLogOf(r)
	if log.event == "" || log.entryWritten || log.user == "" && log.mode != adminMode {
		return nil
	}
	if log.code == "" && (log.event == audit.Link || log.event == audit.Unlink || log.event == audit.SignOut) {
		return nil // a changed link has an entry of its own, from the outbox, and so has each ended session
	}
	log.entryWritten = true
	e := log.entry()
	if log.skipped > 0 {
		e.Reason += fmt.Sprintf("; %d more since the last entry", log.skipped)
	}
	ctx, span := tracing.Start(r.Context(), "audit")
	defer span.End()
	// The entry is written even if the caller has disconnected.
	if err := h.Audit.Write(context.WithoutCancel(ctx), &e); err != nil {
		span.Fail(string(clienttoken.Unavailable))
		return auditFailure(err)
	}
	return nil
}

// badAdminTokens limits the entries about bad admin tokens, so that an attacker
// cannot fill the audit trail. It is safe for concurrent use.
type badAdminTokens struct {
	limit   *rate.Limiter
	skipped atomic.Int64 // without an entry, since the last one
}

// The first five leave an entry each, then one every ten seconds.
const (
	badAdminTokenBurst    = 5
	badAdminTokenInterval = 10 * time.Second
)

func newBadAdminTokens() *badAdminTokens {
	return &badAdminTokens{limit: rate.NewLimiter(rate.Every(badAdminTokenInterval), badAdminTokenBurst)}
}

// noteBadAdminToken lets the request leave an audit entry, unless there were too
// many. The next entry then says how many were skipped.
func (h *handler) noteBadAdminToken(r *http.Request) {
	log := requestLogOf(r)
	if !h.badAdminTokens.limit.Allow() {
		h.badAdminTokens.skipped.Add(1)
		log.event = ""
		return
	}
	log.event, log.mode = audit.Admin, adminMode
	log.skipped = h.badAdminTokens.skipped.Swap(0)
}

// SignedOut returns a function that writes the audit entry of an early sign-out.
// It takes the [clienttoken.Cause] from the context.
func SignedOut(trail audit.Trail) func(ctx context.Context, e auth.Ended) error {
	return func(ctx context.Context, e auth.Ended) error {
		cause := clienttoken.CauseOf(ctx)
		err := trail.Write(context.WithoutCancel(ctx), &audit.Entry{
			Event:          audit.SignOut,
			RequestID:      cause.RequestID,
			ProxyRequestID: cause.ProxyRequestID,
			ClientIP:       cause.ClientIP,
			UserAgent:      cause.UserAgent,
			Mode:           cause.Mode,
			Operator:       cause.Operator,
			User:           e.UserID,
			Outcome:        "signed_out",
			Reason:         e.Why,
			TraceID:        cause.TraceID,
		})
		if err != nil {
			return auditFailure(err)
		}
		return nil
	}
}

// entry is the audit entry of the request.
func (log *requestLog) entry() audit.Entry {
	return audit.Entry{
		Event:            log.event,
		RequestID:        log.requestID,
		ProxyRequestID:   log.proxyRequestID,
		ClientIP:         log.clientIP,
		UserAgent:        log.userAgent,
		Mode:             log.mode,
		Operator:         log.operator,
		User:             log.user,
		Customer:         log.customer,
		Action:           log.action,
		Outcome:          log.outcome(),
		Reason:           log.fullReason(),
		DwollaRequestID:  log.dwollaRequestID,
		TokenFingerprint: log.fingerprint,
		TraceID:          log.traceID,
	}
}

// outcome is the code of the error answer, or the event's word for success.
func (log *requestLog) outcome() string {
	var success string
	switch log.event {
	case audit.ClientToken:
		success = "vended"
	case audit.Link:
		success = "linked"
	case audit.Unlink:
		success = "unlinked"
	case audit.SignIn:
		success = "signed_in"
	case audit.Directory, audit.Sessions:
		success = "read"
	case audit.SignOut, audit.Admin, audit.Opened: // never the event of a success
	}
	return cmp.Or(log.code, success)
}
