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
)

// audited marks the requests that are about an event. Each leaves one entry,
// unless nobody knows its user: strangers leave access lines alone.
func audited(event audit.Event) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recordOf(r).audited = event
			next.ServeHTTP(w, r)
		})
	}
}

// auditRetry is when callers may ask again after the audit sink has failed.
const auditRetry = 5 * time.Second

func unaccepted(err error) error {
	return &clienttoken.Failure{Code: clienttoken.Unavailable, RetryAfter: auditRetry, Err: err}
}

// auditable refuses what would leave no entry, before any work is done for it.
func (h *handler) auditable() error {
	if err := h.Audit.Fault(); err != nil {
		return unaccepted(err)
	}
	return nil
}

// accept gives the request's entry to the audit sink, once. After an error,
// nothing of what the request asked for may leave the service.
func (h *handler) accept(r *http.Request) error {
	rec := recordOf(r)
	if rec.audited == "" || rec.accepted || rec.user == "" && rec.mode != admin {
		return nil
	}
	if rec.code == "" && (rec.audited == audit.Link || rec.audited == audit.Unlink) {
		return nil // the change has an entry of its own, if there was one
	}
	rec.accepted = true
	e := rec.entry(r)
	if rec.unnamed > 0 {
		e.Reason += fmt.Sprintf("; %d more since the entry before", rec.unnamed)
	}
	return h.write(r, &e)
}

// write gives an entry to the audit sink, also when the caller has gone.
func (h *handler) write(r *http.Request, e *audit.Entry) error {
	if err := h.Audit.Write(context.WithoutCancel(r.Context()), e); err != nil {
		return unaccepted(err)
	}
	return nil
}

// intrusions bounds the entries about bad admin tokens: a stranger at the admin
// listener must not fill the trail. It is safe for concurrent use.
type intrusions struct {
	limit  *rate.Limiter
	silent atomic.Int64 // without an entry, since the last one
}

// The first few leave an entry each, and then one in ten seconds does.
const (
	intrusionsAtOnce = 5
	intrusionsEvery  = 10 * time.Second
)

func newIntrusions() *intrusions {
	return &intrusions{limit: rate.NewLimiter(rate.Every(intrusionsEvery), intrusionsAtOnce)}
}

// intruded lets a request with a bad admin token leave an entry, unless there
// were too many of them. The next entry then has their number.
func (h *handler) intruded(r *http.Request) {
	rec := recordOf(r)
	if !h.intrusions.limit.Allow() {
		h.intrusions.silent.Add(1)
		rec.audited = ""
		return
	}
	rec.audited, rec.mode = audit.Admin, admin
	rec.unnamed = h.intrusions.silent.Swap(0)
}

// SignedOut returns what writes the entry of a session that ended before its
// time. The context has the cause.
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
			User:           e.UserID,
			Outcome:        "signed_out",
			Reason:         e.Why,
		})
		if err != nil {
			return unaccepted(err)
		}
		return nil
	}
}

// entry is the audit entry of the request.
func (rec *record) entry(r *http.Request) audit.Entry {
	return audit.Entry{
		Event:            rec.audited,
		RequestID:        rec.requestID,
		ProxyRequestID:   rec.proxyRequestID,
		ClientIP:         rec.clientIP,
		UserAgent:        r.UserAgent(),
		Mode:             rec.mode,
		Operator:         rec.operator,
		User:             rec.user,
		Customer:         rec.customer,
		Action:           rec.action,
		Outcome:          rec.outcome(),
		Reason:           rec.why(),
		DwollaRequestID:  rec.dwollaRequestID,
		TokenFingerprint: rec.fingerprint,
	}
}

// outcome is the code of the error answer, or the word for success.
func (rec *record) outcome() string {
	var good string
	switch rec.audited {
	case audit.ClientToken:
		good = "vended"
	case audit.Link:
		good = "linked"
	case audit.Unlink:
		good = "unlinked"
	case audit.SignIn:
		good = "signed_in"
	case audit.Directory:
		good = "read"
	case audit.SignOut, audit.Admin, audit.Opened: // are of no route, or have no success
	}
	return cmp.Or(rec.code, good)
}
