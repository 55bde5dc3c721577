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

// Error is a call that failed: Dwolla's refusal, or no answer worth the name.
// It holds nothing of Dwolla's answer but these fields, so it is safe to log.
type Error struct {
	Operation operation
	Status    int    // the HTTP status; zero when there was no answer
	Code      string // Dwolla's code ("InvalidAccessToken"); empty when it sent none
	RequestID string // Dwolla's X-Request-Id, which its support asks for

	retryAfter time.Duration
	Err        error // what went wrong when it was not Dwolla's refusal; else nil
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
	errNonsense   = errors.New("a success that cannot be used")
	errNoToken    = errors.New("a success without a token")
	errUnreadable = errors.New("reading the answer: not the JSON that it should be")
	errClosed     = errors.New("the client is closed")
	// These two stand for errors that would quote Dwolla's answer.
	errNoOwnerID     = errors.New("a beneficial owner whose id is no UUID")
	errOtherOwners   = errors.New("a list of beneficial owners whose self link does not name this Customer")
	errOtherCustomer = errors.New("another Customer than the one asked for, or none")
)

// How long callers are asked to wait where Dwolla does not say: its throttle
// "persists for five minutes" once reached, other faults pass sooner.
const (
	throttledFor = 5 * time.Minute
	faultFor     = 5 * time.Second
)

// answered keeps what the head of the answer says.
func (e *Error) answered(resp *http.Response) {
	e.Status = resp.StatusCode
	e.RequestID = printable(resp.Header.Get("X-Request-Id"))
	if after := resp.Header.Get("Retry-After"); after != "" {
		e.retryAfter = pauseOf(after)
	}
}

// pauseOf is what a Retry-After asks for, in seconds or with a date; zero where it
// asks for nothing that can be understood, or nothing any more.
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
// {"error"}. A body of another shape is no news: the status says enough.
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

// notOfACode reports whether a code cannot have r. Dwolla's are words such as
// InvalidAccessToken and invalid_client; what is none is not logged.
func notOfACode(r rune) bool {
	return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// printable cuts a word of Dwolla's to what a log line may hold.
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

// accessTokenRejected reports whether a new access token can help. Dwolla's
// other 401 codes speak of the application itself.
func (e *Error) accessTokenRejected() bool {
	return e.Status == http.StatusUnauthorized &&
		(e.Code == "InvalidAccessToken" || e.Code == "ExpiredAccessToken")
}

// refused reports whether Dwolla has said no, which shows that it is there.
func (e *Error) refused() bool {
	return e.Err == nil && e.Status/100 == 4 && e.Status != http.StatusTooManyRequests
}

// customerUnknown reports whether Dwolla itself says that there is no such
// Customer, or none of this application. A proxy in between says 403 and 404,
// too, and does not know Dwolla's codes.
func (e *Error) customerUnknown() bool {
	if e.Operation != opGetCustomer { // an access token, which the call needs first
		return false
	}
	return e.Status == http.StatusNotFound && strings.EqualFold(e.Code, "NotFound") ||
		e.Status == http.StatusForbidden && e.Code == "Forbidden"
}

// failure tells the heart what e means for its caller.
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

// quiet is how long Dwolla must not be asked after a 429.
func (e *Error) quiet() time.Duration { return cmp.Or(e.retryAfter, throttledFor) }

// unusable reports whether there was a whole answer that is none.
func (e *Error) unusable() bool {
	return errors.Is(e.Err, errTooLarge) || errors.Is(e.Err, errNoToken) || errors.Is(e.Err, errNonsense)
}

func (e *Error) kind() clienttoken.Code {
	switch {
	case e.Status == http.StatusTooManyRequests: // also one that was cut
		return clienttoken.Unavailable
	case e.accessTokenRejected(): // of the application's: there will be another
		return clienttoken.Unavailable
	case e.timedOut():
		return clienttoken.UpstreamTimeout
	case e.unusable():
		return clienttoken.UpstreamError
	case e.Status == 0 || e.Err != nil:
		return clienttoken.Unavailable // no connection, or one that was cut
	case e.Status == http.StatusGatewayTimeout || e.Code == "RequestTimeout":
		return clienttoken.UpstreamTimeout
	case e.Status >= 500:
		return clienttoken.Unavailable
	}
	return clienttoken.UpstreamError
}

// nonsense is a success of Dwolla's that cannot be used.
func nonsense(op operation, a answer, err error) *Error {
	return &Error{Operation: op, Status: a.status, RequestID: a.requestID, Err: fmt.Errorf("%w: %w", errNonsense, err)}
}

// callersOwn is the error to return when the caller has gone or has run out of
// time: then nothing can be said about Dwolla, except that it was too slow.
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
