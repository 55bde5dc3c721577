package handler

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/latency"
	"dropgate/internal/ratelimit"
	"dropgate/internal/tracing"
)

// requestLog collects what is known about one request. The audit entry, the
// access line and the metrics are made from it.
type requestLog struct {
	requestID        string
	proxyRequestID   string // set by a trusted proxy
	clientIP         string
	userAgent        string
	mode, user       string
	operator         string // the name of the admin token
	action, customer string
	dwollaRequestID  string
	fingerprint      string
	code, reason     string      // of the error answer, or empty
	enrolled         bool        // this request linked the Customer to the user
	event            audit.Event // of the request's audit entry; empty: no entry
	skipped          int64       // bad admin tokens without an entry since the last one
	entryWritten     bool        // the audit sink has seen the entry, even if it failed
	charge           ratelimit.Charge
	span             tracing.Span
	traceID          string // empty unless the trace is recorded
}

// ID implements tracing.Request.
func (log *requestLog) ID() string { return log.requestID }

func requestLogOf(r *http.Request) *requestLog {
	if log, ok := tracing.RequestOf(r.Context()).(*requestLog); ok {
		return log
	}
	return &requestLog{} // only outside of withRequestLog
}

func (log *requestLog) noteVended(v *clienttoken.Vended) {
	log.action = string(v.Action)
	log.customer = v.Customer.ID()
	log.enrolled = v.Enrolled
	if !v.Token.IsZero() {
		log.fingerprint = v.Token.Fingerprint()
		log.dwollaRequestID = v.Token.DwollaRequestID
	}
}

// fullReason is the reason for the access line and the audit entry.
func (log *requestLog) fullReason() string {
	if !log.enrolled {
		return log.reason
	}
	return strings.TrimSuffix("enrolled: the Customer has the user's correlationId; "+log.reason, "; ")
}

// cause describes the request for the audit entry of a changed link or session.
// Call it once the mode and the operator are known.
func (log *requestLog) cause() clienttoken.Cause {
	return clienttoken.Cause{
		Mode:           log.mode,
		Operator:       log.operator,
		RequestID:      log.requestID,
		ProxyRequestID: log.proxyRequestID,
		ClientIP:       log.clientIP,
		UserAgent:      audit.Printable(log.userAgent),
		TraceID:        log.traceID,
	}
}

// withCause returns the context for changes of links and sessions.
func withCause(r *http.Request) context.Context {
	return requestLogOf(r).cause().NewContext(r.Context())
}

// requestTimeout limits the total time of a request. It is shorter than the
// server's write timeout, so the caller gets an error instead of a broken
// connection.
const requestTimeout = 25 * time.Second

// withRequestLog gives the request its id, its requestLog and its deadline. After
// the request, even after a panic, it writes the access line and the metrics.
func (h *handler) withRequestLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		log := h.newRequestLog(r)
		w.Header().Set("X-Request-Id", log.requestID)
		h.metrics.inFlight.Inc()
		answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		ctx, cancel := context.WithTimeout(tracing.WithRequest(r.Context(), log), requestTimeout)
		ctx = h.trace(ctx, r, log)
		r = r.WithContext(ctx)
		defer func() {
			cancel()
			defer h.metrics.inFlight.Dec() // after its audit entry and its lines
			h.finish(r, answer, time.Since(start))
		}()
		next.ServeHTTP(answer, r)
	})
}

func (h *handler) newRequestLog(r *http.Request) *requestLog {
	log := &requestLog{
		requestID: rand.Text(), proxyRequestID: h.proxyRequestID(r), clientIP: h.clientIP(r), userAgent: r.UserAgent(),
	}
	log.charge = h.Limits.Charge(log.clientIP)
	return log
}

func (h *handler) finish(r *http.Request, answer middleware.WrapResponseWriter, took time.Duration) {
	_ = h.writeEntry(r) // if no earlier code did; nothing has left the service then
	log := requestLogOf(r)
	if log.enrolled { // even if the request failed later
		h.metrics.links.WithLabelValues("linked").Inc()
	}
	route := chi.RouteContext(r.Context()).RoutePattern()
	if route == "" {
		route = unknownRoute
	}
	method := r.Method
	if !slices.Contains(methods(), method) {
		method = "other" // a caller can invent any number of methods
	}
	status := answer.Status()
	switch {
	case status != 0:
	case log.code != "":
		status = http.StatusInternalServerError // cut off before the first byte
	default:
		status = http.StatusOK // net/http writes this status if the handler writes none
	}
	h.metrics.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	latency.Observe(r.Context(), h.metrics.duration.WithLabelValues(route, method), took)
	log.endSpan(method, route, status)
	line := h.Logger.WithLevel(accessLevel(status))
	if log.traceID != "" {
		line.Str("trace_id", log.traceID)
	}
	line.
		Str("log", "access").
		Str("request_id", log.requestID).
		Str("proxy_request_id", log.proxyRequestID).
		Str("client_ip", log.clientIP).
		Str("method", method).
		Str("route", route).
		Int("status", status).
		Int("bytes", answer.BytesWritten()).
		Dur("duration_ms", took).
		Str("mode", log.mode).
		Str("user", log.user).
		Str("code", log.code).
		Str("reason", log.fullReason()).
		Send()
	switch log.event {
	case audit.ClientToken:
		h.metrics.clientTokens.WithLabelValues(cmp.Or(log.action, string(unknownAction)), log.outcome()).Inc()
	case audit.Link, audit.Unlink:
		if log.code != "" { // a success was counted above, if it changed anything
			h.metrics.links.WithLabelValues(log.code).Inc()
		}
	case audit.SignIn, audit.SignOut, audit.Directory, audit.Sessions, audit.Admin, audit.Opened: // no metric here
	}
}

// accessLevel is the level of an access line, so that errors stand out and reach a log
// with a higher LOG_LEVEL.
func accessLevel(status int) zerolog.Level {
	switch {
	case status >= http.StatusInternalServerError:
		return zerolog.ErrorLevel
	case status == http.StatusTooManyRequests, status == http.StatusForbidden:
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}

// proxyRequestID returns the X-Request-Id of a trusted proxy, which connects the
// proxy's log with ours. Other callers must not write into our log.
func (h *handler) proxyRequestID(r *http.Request) string {
	given := r.Header.Get("X-Request-Id")
	if given != "" && auth.PeerWithin(r, h.TrustedProxies) && validRequestID(given) {
		return given
	}
	return ""
}

func validRequestID(id string) bool {
	if len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z',
			c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=':
		default:
			return false
		}
	}
	return true
}

// methods lists the methods that metrics and log lines name.
func methods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}
