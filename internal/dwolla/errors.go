package dwolla

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
)

// Error is a failed call. It holds only these fields of Dwolla's answer, so it is
// safe to log.
type Error struct {
	Operation operation
	Status    int    // the HTTP status; zero without an answer
	Code      string // Dwolla's code ("InvalidAccessToken"); empty without one
	RequestID string // Dwolla's X-Request-Id, for Dwolla's support

	retryAfter time.Duration
	Err        error // nil if Dwolla refused
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dwolla %s", e.Operation)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " %s", e.Code)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

var (
	errTooLarge   = errors.New("the answer is larger than 1 MiB")
	errNonsense   = errors.New("unusable successful answer")
	errNoToken    = errors.New("successful answer without a token")
	errUnreadable = errors.New("the answer is not the expected JSON")
	errClosed     = errors.New("the client is closed")
	// These replace errors that would quote Dwolla's answer.
	errNoOwnerID     = errors.New("a beneficial owner's id is not a UUID")
	errOtherOwners   = errors.New("the self link of the beneficial owners does not name this Customer")
	errOtherCustomer = errors.New("the answer does not name the requested Customer")
)

// Retry-After without one from Dwolla. Its throttle "persists for five minutes"
// once reached; other faults pass sooner.
const (
	throttledFor = 5 * time.Minute
	faultFor     = 5 * time.Second
)

// readHead keeps the status and headers of the answer.
func (e *Error) readHead(resp *http.Response) {
	e.Status = resp.StatusCode
	e.RequestID = printable(resp.Header.Get("X-Request-Id"))
	if after := resp.Header.Get("Retry-After"); after != "" {
		e.retryAfter = pauseOf(after)
	}
}

// pauseOf parses a Retry-After in seconds or as a date. It returns zero for an
// invalid value or a past date.
func pauseOf(after string) time.Duration {
	const most = 2 * throttledFor
	if s, err := strconv.Atoi(after); err == nil {
		return time.Duration(min(max(s, 0), int(most/time.Second))) * time.Second
	}
	at, err := http.ParseTime(after)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), most)
}

// read takes the code from an error body: {"code","message"}, or OAuth's
// {"error"}. It ignores bodies of another shape.
func (e *Error) read(body []byte) {
	var b struct {
		Code  string `json:"code"`
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &b) != nil {
		return
	}
	if b.Code == "" {
		b.Code = b.Error
	}
	if !strings.ContainsFunc(b.Code, notOfACode) {
		e.Code = printable(b.Code)
	}
}

// notOfACode reports whether r cannot be part of a code. Dwolla's codes are words
// such as InvalidAccessToken and invalid_client. Other values are not logged.
func notOfACode(r rune) bool {
	return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// printable makes a value of Dwolla's safe for a log line.
func printable(s string) string {
	const longest = 128
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s[:min(len(s), longest)])
	return s
}

// accessTokenRejected reports whether a new access token can help. Dwolla's other
// 401 codes are about the application itself.
func (e *Error) accessTokenRejected() bool {
	return e.Status == http.StatusUnauthorized &&
		(e.Code == "InvalidAccessToken" || e.Code == "ExpiredAccessToken")
}

// refused reports whether Dwolla refused the call, so it is available.
func (e *Error) refused() bool {
	return e.Err == nil && e.Status/100 == 4 && e.Status != http.StatusTooManyRequests
}

// customerUnknown reports whether Dwolla itself says this application has no such
// Customer. It checks Dwolla's code, because a proxy may also answer 403 or 404.
func (e *Error) customerUnknown() bool {
	if e.Operation != opGetCustomer { // the request for an access token failed
		return false
	}
	return e.Status == http.StatusNotFound && strings.EqualFold(e.Code, "NotFound") ||
		e.Status == http.StatusForbidden && e.Code == "Forbidden"
}

// failure converts e for the caller.
func (e *Error) failure() *clienttoken.Failure {
	f := &clienttoken.Failure{Code: e.kind(), DwollaRequestID: e.RequestID, Err: e}
	if f.Code == clienttoken.Unavailable {
		switch {
		case e.Status == http.StatusTooManyRequests:
			f.RetryAfter = e.quiet()
		case e.retryAfter > 0:
			f.RetryAfter = e.retryAfter
		default:
			f.RetryAfter = faultFor
		}
	}
	return f
}

// quiet is how long to send nothing after a 429.
func (e *Error) quiet() time.Duration { return cmp.Or(e.retryAfter, throttledFor) }

// unusable reports whether the answer is complete but unusable.
func (e *Error) unusable() bool {
	return errors.Is(e.Err, errTooLarge) || errors.Is(e.Err, errNoToken) || errors.Is(e.Err, errNonsense)
}

func (e *Error) kind() clienttoken.Code {
	switch {
	case e.Status == http.StatusTooManyRequests: // even with a cut body
		return clienttoken.Unavailable
	case e.accessTokenRejected(): // the application's token, which is renewed
		return clienttoken.Unavailable
	case e.timedOut():
		return clienttoken.UpstreamTimeout
	case e.unusable():
		return clienttoken.UpstreamError
	case e.Status == 0 || e.Err != nil:
		return clienttoken.Unavailable // no connection, or a cut one
	case e.Status == http.StatusGatewayTimeout || e.Code == "RequestTimeout":
		return clienttoken.UpstreamTimeout
	case e.Status >= 500:
		return clienttoken.Unavailable
	}
	return clienttoken.UpstreamError
}

// nonsense is the error for an unusable success.
func nonsense(op operation, a answer, err error) *Error {
	return &Error{Operation: op, Status: a.status, RequestID: a.requestID, Err: fmt.Errorf("%w: %w", errNonsense, err)}
}

// callersOwn returns the error for a caller who left or ran out of time. Running
// out of time means Dwolla was too slow.
func callersOwn(ctx context.Context) error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return &clienttoken.Failure{Code: clienttoken.UpstreamTimeout, Err: err}
	default:
		return err //nolint:wrapcheck // the caller's own cancellation, as it came
	}
}
