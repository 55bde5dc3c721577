package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"dropgate/internal/clienttoken"
	"dropgate/internal/tracing"
)

// ask asks the application. Several requests may wait for the answer, so no
// caller's cancellation ends the call. The call bears the id of the first one.
func (f *Forward) ask(ctx context.Context, q question, digest questionDigest) (Session, error) {
	started := time.Now()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), started.Add(forwardTimeout))
	defer cancel()
	if err := f.calls.Enter(ctx, started.Add(forwardTimeout)); err != nil {
		return Session{}, f.unavailable(err)
	}
	defer f.calls.Leave()
	if session, ok := f.users.Get(digest); ok { // answered since the caller looked; the application may have replaced the cookie
		return session, nil
	}
	answered, err := f.breaker.Execute(func() (answer, error) { return f.whoIs(ctx, q) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return Session{}, f.unavailable(err)
	}
	f.note(err)
	if err != nil {
		if _, refused := errors.AsType[*Rejection](err); refused {
			f.inFlight.refuse(digest)
		}
		return Session{}, err //nolint:wrapcheck // from whoIs
	}
	claims := answered.claims
	id, err := f.user.userID(sources{claims})
	if err != nil {
		return Session{}, f.unavailable(fmt.Errorf("its answer: %w", err))
	}
	if f.user.namesEmail() && f.unverified(claims) {
		return Session{}, &Rejection{Mode: f.Name(), Kind: NoUser, Reason: f.user.name + " names the user, and the application says that the address is not verified"}
	}
	session := Session{
		User:     clienttoken.User{ID: id, Claims: f.claims.apply(sources{claims})},
		Mode:     f.Name(),
		ByCookie: len(q.credentials["Cookie"]) > 0,
	}
	if f.config.Cache > 0 {
		f.users.Add(digest, session, session.bytes(), started.Add(f.config.Cache))
	}
	session.SetCookies = answered.cookies
	return session, nil
}

// note reports the outcome of a call.
func (f *Forward) note(err error) {
	if f.config.Outcome == nil {
		return
	}
	if _, refused := errors.AsType[*Rejection](err); refused {
		err = nil
	}
	f.config.Outcome(err)
}

// answer is an answer that names a user.
type answer struct {
	claims  map[string]any
	cookies []string
}

// whoIs makes the call. The error is a *Rejection if nobody is signed in, or
// a *clienttoken.Failure.
func (f *Forward) whoIs(ctx context.Context, q question) (a answer, err error) {
	ctx, span := tracing.StartCall(ctx, "forward")
	defer func() {
		if _, down := errors.AsType[*clienttoken.Failure](err); down {
			span.Fail("unavailable")
		}
		span.End()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.config.URL, http.NoBody) //nolint:gosec // the operator's own URL
	if err != nil {
		return answer{}, f.unavailable(err)
	}
	req.Header = q.header()
	tracing.Propagate(ctx, req.Header)
	resp, err := f.transport.RoundTrip(req)
	if err != nil {
		return answer{}, f.unavailable(fmt.Errorf("%w: %w", errDown, err))
	}
	defer func() { _ = resp.Body.Close() }()
	span.SetInt(tracing.Status, resp.StatusCode)
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return answer{}, &Rejection{Mode: f.Name(), Kind: Refused, Reason: fmt.Sprintf("the application answered %d", resp.StatusCode)}
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return answer{}, f.unavailable(fmt.Errorf("%w: it answered %d", errDown, resp.StatusCode))
	default:
		return answer{}, f.unavailable(fmt.Errorf("the application answered %d", resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxForwardBody+1))
	if err != nil {
		return answer{}, f.unavailable(fmt.Errorf("%w: %w", errDown, err))
	}
	claims, err := f.parse(body)
	if err != nil {
		return answer{}, err
	}
	return answer{claims, f.cookiesFor(resp.Header["Set-Cookie"])}, nil
}

// errDown reports that the application does not answer, or answers 429, 502, 503
// or 504. Other bad answers may be due to the credentials. They must not open the
// circuit, or one caller with odd cookies could cut off all others.
var errDown = errors.New("the application is down")

// newForwardBreaker returns a circuit that opens when half of at least 20 calls
// find the application down. It then probes with one call every five seconds.
func newForwardBreaker(log zerolog.Logger) *gobreaker.CircuitBreaker[answer] {
	const minCalls, window, openFor = 20, 10 * time.Second, 5 * time.Second
	return gobreaker.NewCircuitBreaker[answer](gobreaker.Settings{
		Name:         "forward",
		MaxRequests:  1,
		Interval:     window + forwardTimeout, // an outcome counts from the start of its call
		BucketPeriod: time.Second,
		Timeout:      openFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			calls := n.TotalSuccesses + n.TotalFailures
			return calls >= minCalls && 2*n.TotalFailures >= calls
		},
		IsSuccessful: func(err error) bool { return !errors.Is(err, errDown) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				log.Debug().Dur("open_for_ms", openFor).Msg("the application cannot authenticate users: circuit open, probing")
			case to == gobreaker.StateClosed:
				log.Debug().Msg("the application authenticates users again: circuit closed")
			}
		},
	})
}

// unavailable reports an outage of the application. It is never a refusal.
func (f *Forward) unavailable(err error) *clienttoken.Failure {
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: 5 * time.Second,
		Err:        fmt.Errorf("asking the application who is signed in: %w", err),
	}
}
