package handler

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// Codes for errors in HTTP itself. clienttoken has the others.
const (
	validationError      clienttoken.Code = "ValidationError"
	crossOriginRequest   clienttoken.Code = "CrossOriginRequest"
	notFound             clienttoken.Code = "NotFound"
	methodNotAllowed     clienttoken.Code = "MethodNotAllowed"
	payloadTooLarge      clienttoken.Code = "PayloadTooLarge"
	unsupportedMediaType clienttoken.Code = "UnsupportedMediaType"
	clientClosedRequest  clienttoken.Code = "ClientClosedRequest"
	serverError          clienttoken.Code = "ServerError"
	misdirectedRequest   clienttoken.Code = "MisdirectedRequest" // on the admin listener only
)

// statusClientClosedRequest marks requests of callers who disconnected, in logs and
// metrics. nginx introduced the number.
const statusClientClosedRequest = 499

var errPanicked = errors.New("the handler panicked")

// problem is an error response. docs/errors.md compares it with the other kinds of
// error.
type problem struct {
	code     clienttoken.Code
	message  string          // for the caller; empty: the fixed message of code
	embedded []embeddedError // for ValidationError: one for each invalid member
	header   http.Header
	reason   string // for the log
	status   int    // set by recordError
}

// embeddedError is one fault of a request, in Dwolla's shape.
type embeddedError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    string `json:"path"` // a JSON pointer (RFC 6901)
}

func (p *problem) Error() string { return string(p.code) + ": " + p.reason }

// statusAndMessage returns the status of a code and its message for the caller.
func statusAndMessage(code clienttoken.Code) (status int, message string) {
	switch code {
	case clienttoken.BadRequest:
		return http.StatusBadRequest, "The request body is invalid."
	case clienttoken.Unauthenticated:
		return http.StatusUnauthorized, "You are not signed in, or your sign-in has expired."
	case clienttoken.ActionNotAllowed:
		return http.StatusForbidden, "The signed-in user is not allowed this action."
	case clienttoken.CustomerMismatch:
		return http.StatusForbidden, "The request names a Customer or beneficial owner that does not belong to the signed-in user."
	case clienttoken.CustomerNotLinked:
		return http.StatusConflict, "The action requires a Customer, but the signed-in user has none."
	case clienttoken.CustomerInactive:
		return http.StatusForbidden, "The signed-in user's Customer is suspended or deactivated."
	case clienttoken.CustomerAlreadyLinked:
		return http.StatusConflict, "The signed-in user already has a Customer."
	case clienttoken.TooManyRequests:
		return http.StatusTooManyRequests, "Too many requests. Try again later."
	case clienttoken.UpstreamError:
		return http.StatusBadGateway, "Dwolla refused the request or sent an unusable response."
	case clienttoken.Unavailable:
		return http.StatusServiceUnavailable, "The service is temporarily unavailable. Try again shortly."
	case clienttoken.UpstreamTimeout:
		return http.StatusGatewayTimeout, "Dwolla did not respond in time."
	default:
		return ownStatusAndMessage(code)
	}
}

// ownStatusAndMessage is statusAndMessage for the codes of this package.
func ownStatusAndMessage(code clienttoken.Code) (status int, message string) {
	known, ok := map[clienttoken.Code]struct {
		status  int
		message string
	}{
		misdirectedRequest:   {http.StatusMisdirectedRequest, "This listener does not serve the requested host. Add the host to ADMIN_HOSTS."},
		notFound:             {http.StatusNotFound, "This address does not exist."},
		methodNotAllowed:     {http.StatusMethodNotAllowed, "This address does not support this method."},
		payloadTooLarge:      {http.StatusRequestEntityTooLarge, "The request body is larger than 64 KiB."},
		unsupportedMediaType: {http.StatusUnsupportedMediaType, "The request body must be application/json without Content-Encoding."},
		clientClosedRequest:  {statusClientClosedRequest, "The caller disconnected."},
		validationError:      {http.StatusBadRequest, "Validation error(s) present. See embedded errors list for more details."},
		crossOriginRequest:   {http.StatusForbidden, "This request comes from a page of another origin, which is not allowed."},
	}[code]
	if !ok {
		return http.StatusInternalServerError, "Something went wrong in this service."
	}
	return known.status, known.message
}

// problemOf is the only mapping from an error to a response.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*clienttoken.Refusal](err); ok {
		p := &problem{code: refusal.Code, reason: refusal.Reason}
		if refusal.Code == clienttoken.TooManyRequests { // too many attempts to link
			p.header = http.Header{"Retry-After": {retryAfterSeconds(refusal.RetryAfter)}}
		}
		return p
	}
	if exceeded, ok := errors.AsType[*ratelimit.ExceededError](err); ok {
		return &problem{code: clienttoken.TooManyRequests, reason: err.Error(), header: limitHeader(exceeded)}
	}
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok {
		p := &problem{code: failure.Code, reason: err.Error()}
		if failure.Code == clienttoken.Unavailable {
			p.header = http.Header{"Retry-After": {retryAfterSeconds(cmp.Or(failure.RetryAfter, defaultRetryAfter))}}
		}
		return p
	}
	if rejection, ok := errors.AsType[*auth.Rejection](err); ok {
		p := &problem{code: clienttoken.Unauthenticated, reason: rejection.Error()}
		if rejection.Challenge != "" {
			p.header = http.Header{"Www-Authenticate": {rejection.Challenge}}
		}
		return p
	}
	if wrong, ok := errors.AsType[*auth.ProtocolError](err); ok {
		return &problem{code: clienttoken.BadRequest, message: protocolMessage(wrong.Code), reason: err.Error()}
	}
	if errors.Is(err, context.DeadlineExceeded) { // after requestTimeout: a dependency is down
		return &problem{
			code:   clienttoken.Unavailable,
			header: http.Header{"Retry-After": {retryAfterSeconds(defaultRetryAfter)}},
			reason: err.Error(),
		}
	}
	if errors.Is(err, context.Canceled) {
		return &problem{code: clientClosedRequest, reason: err.Error()}
	}
	return &problem{code: serverError, reason: err.Error()}
}

// protocolMessage is the message for the code of an *auth.ProtocolError.
func protocolMessage(code string) string {
	switch code {
	case "return_to":
		return "A parameter of this sign-in is malformed."
	case "logout_token_invalid", "logout_token_used":
		return "The logout token is invalid or was already used."
	case "access_denied":
		return "The sign-in was canceled."
	case "state_unknown", "state_expired", "state_used":
		return "This sign-in has expired, was started in another browser, or was already used."
	case "logged_out":
		return "You were signed out during this sign-in."
	default:
		return "The sign-in failed."
	}
}

// defaultRetryAfter is the Retry-After for an outage of unknown length.
const defaultRetryAfter = 30 * time.Second

// retryAfterSeconds formats d in whole seconds, at least one.
func retryAfterSeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// limitHeader names the exceeded limit and when to try again, in Retry-After and
// the fields of draft-ietf-httpapi-ratelimit-headers-10. The middleware cors exposes
// these fields to pages of other origins.
func limitHeader(e *ratelimit.ExceededError) http.Header {
	window := int64(math.Ceil(e.Limit.Window.Seconds()))
	return http.Header{
		"Retry-After":      {retryAfterSeconds(e.RetryAfter)},
		"Ratelimit":        {fmt.Sprintf("%q;r=0;t=%s", e.Scope, retryAfterSeconds(e.RetryAfter))},
		"Ratelimit-Policy": {fmt.Sprintf("%q;q=%d;w=%d", e.Scope, e.Limit.N, window)},
	}
}

type problemResponse struct {
	Code      clienttoken.Code `json:"code"`
	Message   string           `json:"message"`
	RequestID string           `json:"requestId"`
	Embedded  *embeddedErrors  `json:"_embedded,omitempty"`
}

type embeddedErrors struct {
	Errors []embeddedError `json:"errors"`
}

// fail responds with err. It shows the caller no text of err, except the message of
// a problem.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := h.recordError(w, r, err)
	answer := problemResponse{Code: p.code, Message: p.message, RequestID: requestLogOf(r).requestID}
	if len(p.embedded) > 0 {
		answer.Embedded = &embeddedErrors{p.embedded}
	}
	_ = writeJSON(w, p.status, answer) // fails only if the caller disconnected
}

// recordError notes err in the requestLog, writes the audit entry, and sets the
// response headers. It returns the rest of the response.
func (h *handler) recordError(w http.ResponseWriter, r *http.Request, err error) *problem {
	p := problemOf(err)
	log := requestLogOf(r)
	log.code, log.reason = string(p.code), p.reason
	h.logRemedy(log, err)
	if exceeded, ok := errors.AsType[*ratelimit.ExceededError](err); ok && exceeded.Scope == ratelimit.IP {
		h.warnOfUntrustedProxy(r)
	}
	if err := h.writeEntry(r); err != nil { // then the refusal must not leave the service either
		refused := log.code + ": " + log.reason
		p = problemOf(err)
		log.code, log.reason = string(p.code), p.reason+"; instead of "+refused
	}
	maps.Copy(w.Header(), p.header)
	status, message := statusAndMessage(p.code)
	p.status, p.message = status, cmp.Or(p.message, message)
	return p
}

// logRemedy logs how an operator can repair a failure, if err says so.
func (h *handler) logRemedy(log *requestLog, err error) {
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok {
		return
	}
	log.dwollaRequestID = cmp.Or(failure.DwollaRequestID, log.dwollaRequestID)
	if failure.Remedy != "" {
		h.Logger.Error().
			Str("request_id", log.requestID).
			Str("dwolla_request_id", log.dwollaRequestID).
			Str("reason", log.reason).
			Msg(failure.Remedy)
	}
}

// warnOfUntrustedProxy warns, once, that all callers may share one rate limit because
// the proxy in front of them is not trusted.
func (h *handler) warnOfUntrustedProxy(r *http.Request) {
	if r.Header.Get("X-Forwarded-For") == "" || auth.PeerWithin(r, h.TrustedProxies) {
		return
	}
	h.proxyWarning.Do(func() {
		h.Logger.Warn().Str("peer", peerIP(r)).
			Msg("RATE_LIMIT_IP refused a request with X-Forwarded-For from a peer outside of TRUSTED_PROXIES: if it is your proxy, all of its callers share one rate limit")
	})
}

// writeJSON writes a response. It fails only if v cannot be encoded.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err //nolint:wrapcheck // a bug of ours
	}
	writeBody(w, status, body)
	return nil
}

// writeBody writes a response with a JSON body.
func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func noRoute(http.ResponseWriter, *http.Request) error {
	return &problem{code: notFound, reason: "no such route"}
}

// wrongMethod responds with the methods that the address supports, as RFC 9110
// (15.5.6) requires.
func wrongMethod(routes chi.Routes) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		path := cmp.Or(r.URL.RawPath, r.URL.Path) // as chi does
		for _, method := range methods() {
			as := method
			if as == http.MethodHead {
				as = http.MethodGet
			}
			if routes.Match(chi.NewRouteContext(), as, path) {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 { // chi calls wrongMethod for every unknown method
			return noRoute(w, r)
		}
		return &problem{
			code:   methodNotAllowed,
			header: http.Header{"Allow": {strings.Join(allowed, ", ")}},
			reason: "method not supported",
		}
	}
}
