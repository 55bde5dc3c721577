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

// The codes of this room, beside those of the heart.
const (
	validationError      clienttoken.Code = "ValidationError"
	crossOriginRequest   clienttoken.Code = "CrossOriginRequest"
	missing              clienttoken.Code = "NotFound"
	wrongMethod          clienttoken.Code = "MethodNotAllowed"
	payloadTooLarge      clienttoken.Code = "PayloadTooLarge"
	unsupportedMediaType clienttoken.Code = "UnsupportedMediaType"
	clientClosedRequest  clienttoken.Code = "ClientClosedRequest"
	serverError          clienttoken.Code = "ServerError"
	misdirectedRequest   clienttoken.Code = "MisdirectedRequest" // of the admin listener alone
)

// statusClientClosedRequest is nobody's to read, since the caller has gone. It
// keeps such requests apart from faults in logs and metrics, under the number
// that nginx made known.
const statusClientClosedRequest = 499

var errPanicked = errors.New("the handler panicked")

// problem is an error on its way out.
type problem struct {
	code     clienttoken.Code
	message  string     // for the caller; empty: the fixed sentence of code
	embedded []embedded // what is wrong with which member, for ValidationError
	header   http.Header
	reason   string // for the log
	status   int    // that of code; set by noted
}

// embedded is one fault of a request, in Dwolla's shape.
type embedded struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    string `json:"path"` // a JSON pointer (RFC 6901)
}

func (p *problem) Error() string { return string(p.code) + ": " + p.reason }

// meaning is the status of each code and what it says to a person.
func meaning(code clienttoken.Code) (status int, message string) {
	switch code {
	case clienttoken.BadRequest:
		return http.StatusBadRequest, "The request body is not valid."
	case clienttoken.Unauthenticated:
		return http.StatusUnauthorized, "Nobody is signed in, or the sign-in is no longer good."
	case clienttoken.ActionNotAllowed:
		return http.StatusForbidden, "The signed-in user may not have a token for this action."
	case clienttoken.CustomerMismatch:
		return http.StatusForbidden, "The request names a Customer or beneficial owner that is not the signed-in user's."
	case clienttoken.CustomerNotLinked:
		return http.StatusConflict, "The action needs a Customer, and none is linked to the signed-in user."
	case clienttoken.CustomerInactive:
		return http.StatusForbidden, "The signed-in user's Customer is suspended or deactivated."
	case clienttoken.CustomerAlreadyLinked:
		return http.StatusConflict, "The signed-in user has a Customer already."
	case clienttoken.TooManyRequests:
		return http.StatusTooManyRequests, "There were too many requests. Try again later."
	case clienttoken.UpstreamError:
		return http.StatusBadGateway, "Dwolla did not accept the request, or answered it in a way that cannot be used."
	case clienttoken.Unavailable:
		return http.StatusServiceUnavailable, "A part that the answer depends on is not available. Try again later."
	case clienttoken.UpstreamTimeout:
		return http.StatusGatewayTimeout, "Dwolla did not answer in time."
	default:
		return ownMeaning(code)
	}
}

// ownMeaning is meaning for the codes of this room.
func ownMeaning(code clienttoken.Code) (status int, message string) {
	known, ok := map[clienttoken.Code]struct {
		status  int
		message string
	}{
		misdirectedRequest:   {http.StatusMisdirectedRequest, "This listener does not answer for the host of the request. ADMIN_HOSTS lists its hosts."},
		missing:              {http.StatusNotFound, "There is nothing at this address."},
		wrongMethod:          {http.StatusMethodNotAllowed, "This address does not answer to this method."},
		payloadTooLarge:      {http.StatusRequestEntityTooLarge, "The request body is larger than 64 KiB."},
		unsupportedMediaType: {http.StatusUnsupportedMediaType, "The request body has to be application/json, without a content coding."},
		clientClosedRequest:  {statusClientClosedRequest, "The caller went away."},
		validationError:      {http.StatusBadRequest, "Validation error(s) present. See embedded errors list for more details."},
		crossOriginRequest:   {http.StatusForbidden, "A page of another origin caused this request, and that origin is not allowed."},
	}[code]
	if !ok {
		return http.StatusInternalServerError, "Something went wrong in this service."
	}
	return known.status, known.message
}

// problemOf is the one mapping from an error of any room to an answer.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*clienttoken.Refusal](err); ok {
		p := &problem{code: refusal.Code, reason: refusal.Reason}
		if refusal.Code == clienttoken.TooManyRequests {
			p.header = http.Header{"Retry-After": {seconds(refusal.RetryAfter)}}
		}
		return p
	}
	if exceeded, ok := errors.AsType[*ratelimit.ExceededError](err); ok {
		return &problem{code: clienttoken.TooManyRequests, reason: err.Error(), header: limitHeader(exceeded)}
	}
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok {
		p := &problem{code: failure.Code, reason: err.Error()}
		if failure.Code == clienttoken.Unavailable {
			p.header = http.Header{"Retry-After": {seconds(cmp.Or(failure.RetryAfter, nobodyKnows))}}
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
	if errors.Is(err, context.DeadlineExceeded) { // of answerWithin: whatever was waited for is down
		return &problem{
			code:   clienttoken.Unavailable,
			header: http.Header{"Retry-After": {seconds(nobodyKnows)}},
			reason: err.Error(),
		}
	}
	if errors.Is(err, context.Canceled) {
		return &problem{code: clientClosedRequest, reason: err.Error()}
	}
	return &problem{code: serverError, reason: err.Error()}
}

// protocolMessage says what a *auth.ProtocolError of a code is to a person.
func protocolMessage(code string) string {
	switch code {
	case "return_to":
		return "return_to has to be a path of this site, or a URL of an allowed origin."
	case "logout_token_invalid", "logout_token_used":
		return "The logout token is not valid, or came before."
	case "access_denied":
		return "The sign-in was canceled."
	case "state_unknown", "state_expired", "state_used":
		return "This sign-in was begun too long ago, in another browser, or has been used before."
	case "logged_out":
		return "You were signed out while this sign-in was under way."
	default:
		return "The sign-in did not succeed."
	}
}

// nobodyKnows is how long callers are asked to wait for the end of an outage of
// which nothing is known.
const nobodyKnows = 30 * time.Second

// seconds is d as Retry-After wants it, and at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// limitHeader says which limit it was and when to ask again, as Retry-After and
// in the fields of draft-ietf-httpapi-ratelimit-headers-10.
func limitHeader(e *ratelimit.ExceededError) http.Header {
	window := int64(math.Ceil(e.Limit.Window.Seconds()))
	return http.Header{
		"Retry-After":      {seconds(e.RetryAfter)},
		"Ratelimit":        {fmt.Sprintf("%q;r=0;t=%s", e.Scope, seconds(e.RetryAfter))},
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
	Errors []embedded `json:"errors"`
}

// fail answers the request with err. Nothing of err itself is shown, but for the
// problems of this room.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := h.noted(w, r, err)
	answer := problemResponse{Code: p.code, Message: p.message, RequestID: recordOf(r).requestID}
	if len(p.embedded) > 0 {
		answer.Embedded = &embeddedErrors{p.embedded}
	}
	_ = writeJSON(w, p.status, answer) // a caller who has gone is in the log already
}

// noted notes err for the log, gives the entry of the refusal to the audit sink,
// sets the headers of the answer, and returns the rest of it.
func (h *handler) noted(w http.ResponseWriter, r *http.Request, err error) *problem {
	p := problemOf(err)
	rec := recordOf(r)
	rec.code, rec.reason = string(p.code), p.reason
	h.mend(rec, err)
	if exceeded, ok := errors.AsType[*ratelimit.ExceededError](err); ok && exceeded.Scope == ratelimit.IP {
		h.suspectProxy(r)
	}
	if err := h.accept(r); err != nil { // then this refusal must not leave either
		refused := rec.code + ": " + rec.reason
		p = problemOf(err)
		rec.code, rec.reason = string(p.code), p.reason+"; instead of "+refused
	}
	maps.Copy(w.Header(), p.header)
	status, message := meaning(p.code)
	p.status, p.message = status, cmp.Or(p.message, message)
	return p
}

// mend writes to the log how an operator ends a failure, where that is known.
func (h *handler) mend(rec *record, err error) {
	failure, ok := errors.AsType[*clienttoken.Failure](err)
	if !ok {
		return
	}
	rec.dwollaRequestID = cmp.Or(failure.DwollaRequestID, rec.dwollaRequestID)
	if failure.Remedy != "" {
		h.Logger.Error().
			Str("request_id", rec.requestID).
			Str("dwolla_request_id", rec.dwollaRequestID).
			Str("reason", rec.reason).
			Msg(failure.Remedy)
	}
}

// suspectProxy warns, once, that the limit of one address may be the limit of all
// callers, since a proxy that is not trusted is in between.
func (h *handler) suspectProxy(r *http.Request) {
	if r.Header.Get("X-Forwarded-For") == "" || auth.PeerWithin(r, h.TrustedProxies) {
		return
	}
	h.proxyWarning.Do(func() {
		h.Logger.Warn().Str("peer", peerIP(r)).
			Msg("RATE_LIMIT_IP refused a request with X-Forwarded-For from a peer that is not in TRUSTED_PROXIES: if that is your proxy, all of its callers share one allowance")
	})
}

// writeJSON writes an answer. Its error is that of a connection that is gone.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err //nolint:wrapcheck // of a type that cannot be written: a fault of ours
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

func notFound(http.ResponseWriter, *http.Request) error {
	return &problem{code: missing, reason: "no such route"}
}

// methodNotAllowed names the methods that the address does answer to, as RFC
// 9110 (15.5.6) wants it.
func methodNotAllowed(routes chi.Routes) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		var allowed []string
		path := cmp.Or(r.URL.RawPath, r.URL.Path) // as chi does it
		for _, method := range methods() {
			as := method
			if as == http.MethodHead {
				as = http.MethodGet
			}
			if routes.Match(chi.NewRouteContext(), as, path) {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 { // chi says this of every method that it does not know
			return notFound(w, r)
		}
		return &problem{
			code:   wrongMethod,
			header: http.Header{"Allow": {strings.Join(allowed, ", ")}},
			reason: "no such method",
		}
	}
}
