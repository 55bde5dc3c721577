package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"dropgate/internal/bulkhead"
	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// ForwardConfig says where to ask who the user is.
type ForwardConfig struct {
	// URL of the application that answers 200 with {"sub": …} for a user, and
	// 401 or 403 for nobody.
	URL string
	// Cache is how long a user is remembered; zero: not at all. A sign-out in
	// the application takes that long to be noticed here.
	Cache time.Duration
	// UserClaim names the member of the answer that holds the user's id.
	UserClaim string
	// Claims are the names of other members that a session keeps.
	Claims    []string
	Transport http.RoundTripper
	Logger    zerolog.Logger // for the begin and the end of an outage
}

// Forward is the mode for applications with a session of their own: it asks
// the application whose a request's cookies are.
type Forward struct {
	config ForwardConfig
	kept   keptClaims
	// transport is asked without a client around it: a client would follow
	// redirects, and the cookies are for the application alone, and would put
	// the address of one that it cannot follow into its error.
	transport http.RoundTripper
	flight    singleflight.Group
	waiting   waiting // requests that wait for the application
	live      liveCredentials
	calls     *bulkhead.Bulkhead
	breaker   *gobreaker.CircuitBreaker[map[string]any]
	// known remembers users whom the application named, so that the nine tokens
	// of one drop-in flow cost one question. The key is a SHA-256 of the
	// credentials, the size is maxKnown bytes, the life is Cache. "Nobody" is not
	// remembered: a user who has just signed in would have to wait.
	known *bytecache.Cache[credentialsDigest, Session]
	// nobody remembers credentials that named nobody beside those of another mode.
	// Signing in and then using another mode's credential of a different user is
	// noticed after Cache; a request of this mode alone does not read it.
	nobody *bytecache.Cache[credentialsDigest, struct{}]
	// limited remembers the users who have used up their limit, until it is
	// refilled, so that their requests cost no questions meanwhile. They are
	// refused by their limit, so that an old answer gives nobody anything.
	limited *bytecache.Cache[credentialsDigest, string]
}

type credentialsDigest [sha256.Size]byte

const (
	maxKnown       = 6 << 20 // bytes
	maxLimited     = 1 << 20 // bytes
	maxNobody      = 1 << 20 // bytes
	forwardTimeout = 5 * time.Second
	maxWhoIs       = 16 << 10 // bytes of the application's answer
	maxQuestions   = 64       // under way; three times as many wait, for a second
)

// NewForward returns the mode. It panics without a URL and a user claim.
func NewForward(c ForwardConfig) *Forward {
	if c.URL == "" || c.UserClaim == "" {
		panic("auth: forward mode without URL or user claim")
	}
	return &Forward{
		config:    c,
		kept:      newKeptClaims(c.UserClaim, c.Claims),
		known:     bytecache.New[credentialsDigest, Session](bytecache.Config{MaxBytes: maxKnown, Now: time.Now}),
		nobody:    bytecache.New[credentialsDigest, struct{}](bytecache.Config{MaxBytes: maxNobody, Now: time.Now}),
		limited:   bytecache.New[credentialsDigest, string](bytecache.Config{MaxBytes: maxLimited, Now: time.Now}),
		calls:     bulkhead.New(maxQuestions),
		breaker:   newForwardBreaker(c.Logger),
		transport: cmp.Or(c.Transport, http.DefaultTransport),
	}
}

// Name returns "forward".
func (f *Forward) Name() string { return "forward" }

// Authenticate asks the application, with the request's Cookie and
// Authorization headers and nothing else of it. Equal questions at the same
// time are one. The request's address pays before the question, so that nobody
// makes the service ask without bound.
func (f *Forward) Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error) {
	credentials := http.Header{}
	for _, name := range []string{"Authorization", "Cookie"} {
		if values := r.Header[name]; len(values) > 0 {
			credentials[name] = values
		}
	}
	if len(credentials) == 0 {
		return Session{}, errNotMine
	}
	digest := digestCredentials(credentials)
	over := f.live.hold(r.Context(), digest)
	if session, ok := f.known.Get(digest); ok {
		session.SignedOut = over
		return session, nil
	}
	if user, ok := f.limited.Get(digest); ok {
		session := Session{User: clienttoken.User{ID: user}, Mode: f.Name()}
		if err := f.pay(r.Context(), charge, digest, session); err != nil {
			return session, err
		}
	}
	if err := charge.PayAddress(r.Context()); err != nil {
		return Session{}, err
	}
	session, err := f.answer(r.Context(), credentials, digest)
	if err != nil {
		return Session{}, err
	}
	if err := f.pay(r.Context(), charge, digest, session); err != nil {
		return logUser(session), err
	}
	session.SignedOut = over
	return session, nil
}

// pay takes what the request owes as soon as its user is known. A user over the
// limit is remembered until it is refilled.
func (f *Forward) pay(ctx context.Context, charge *ratelimit.Charge, digest credentialsDigest, s Session) error {
	err := charge.Pay(ctx, s.User.ID)
	if exceeded, ok := errors.AsType[*ratelimit.ExceededError](err); ok && exceeded.Scope == ratelimit.User {
		f.limited.Add(digest, s.User.ID, len(s.User.ID), time.Now().Add(exceeded.RetryAfter))
	}
	return err
}

// answer waits for the application's answer, beside a bounded number of others.
func (f *Forward) answer(ctx context.Context, credentials http.Header, digest credentialsDigest) (Session, error) {
	if !f.waiting.enter() {
		return Session{}, f.unavailable(errors.New("too many requests wait for it"))
	}
	defer f.waiting.leave()
	select {
	case answer := <-f.flight.DoChan(string(digest[:]), func() (any, error) { return f.ask(credentials, digest) }):
		session, _ := answer.Val.(Session) // ask returns nothing else
		return session, answer.Err
	case <-ctx.Done():
		return Session{}, ctx.Err() //nolint:wrapcheck // the caller's own cancellation, as it came
	}
}

// digestCredentials tells credentials apart: the length before each value keeps two
// headers from reading like one.
func digestCredentials(credentials http.Header) credentialsDigest {
	var text []byte
	for _, name := range []string{"Authorization", "Cookie"} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(credentials[name]))) //nolint:gosec // headers are bounded
		for _, value := range credentials[name] {
			text = binary.BigEndian.AppendUint32(text, uint32(len(value))) //nolint:gosec // headers are bounded
			text = append(text, value...)
		}
	}
	return sha256.Sum256(text)
}

// ask asks the application. It belongs to none of the callers who wait for it,
// so none of them can end it for the others.
func (f *Forward) ask(credentials http.Header, digest credentialsDigest) (Session, error) {
	asked := time.Now()
	ctx, cancel := context.WithDeadline(context.Background(), asked.Add(forwardTimeout))
	defer cancel()
	if err := f.calls.Enter(ctx, asked.Add(forwardTimeout)); err != nil {
		return Session{}, f.unavailable(err)
	}
	defer f.calls.Leave()
	claims, err := f.breaker.Execute(func() (map[string]any, error) { return f.whoIs(ctx, credentials) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return Session{}, f.unavailable(err)
	}
	if err != nil {
		if _, refused := errors.AsType[*Rejection](err); refused {
			f.live.refuse(digest)
		}
		return Session{}, err //nolint:wrapcheck // it is that of whoIs
	}
	id, _ := claims[f.config.UserClaim].(string)
	if !clienttoken.ValidUserID(id) {
		return Session{}, f.unavailable(errors.New(f.config.UserClaim + " in the application's answer is not a user id of 1 to 255 printable characters"))
	}
	if verified, given := claims["email_verified"]; given && f.config.UserClaim == "email" && verified != true {
		return Session{}, &Rejection{Mode: f.Name(), Reason: "email names the user, and the application says that email_verified is not true"}
	}
	session := Session{
		User:     clienttoken.User{ID: id, Claims: f.kept.of(claims)},
		Mode:     f.Name(),
		ByCookie: len(credentials["Cookie"]) > 0,
	}
	if f.config.Cache > 0 {
		f.known.Add(digest, session, heldBy(session), asked.Add(f.config.Cache))
	}
	return session, nil
}

// whoIs returns what the application says about the user, a *Rejection for
// nobody, or a *clienttoken.Failure for every other answer.
func (f *Forward) whoIs(ctx context.Context, credentials http.Header) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.config.URL, http.NoBody) //nolint:gosec // the operator's own URL
	if err != nil {
		return nil, f.unavailable(err)
	}
	req.Header = credentials.Clone()
	req.Header.Set("Accept", "application/json")
	resp, err := f.transport.RoundTrip(req)
	if err != nil {
		return nil, f.unavailable(fmt.Errorf("%w: %w", errDown, err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, &Rejection{Mode: f.Name(), Reason: fmt.Sprintf("the application answered %d", resp.StatusCode)}
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, f.unavailable(fmt.Errorf("%w: it answered %d", errDown, resp.StatusCode))
	default:
		return nil, f.unavailable(fmt.Errorf("the application answered %d", resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxWhoIs+1))
	if err != nil {
		return nil, f.unavailable(fmt.Errorf("%w: %w", errDown, err))
	}
	return f.claims(body)
}

// claims reads the members in use of the application's answer, and checks that
// all of it is one JSON object.
func (f *Forward) claims(body []byte) (map[string]any, error) {
	nonsense := f.unavailable(fmt.Errorf("the application's answer is not a JSON object of at most %d bytes", maxWhoIs))
	var members map[string]jsontext.Value
	if len(body) > maxWhoIs || json.Unmarshal(body, &members) != nil || members == nil {
		return nil, nonsense
	}
	claims := map[string]any{}
	for _, name := range slices.Concat(f.kept, keptClaims{"email_verified"}) {
		raw, ok := members[name]
		if !ok {
			continue
		}
		var value any
		if json.Unmarshal(raw, &value) != nil {
			return nil, nonsense
		}
		claims[name] = value
	}
	return claims, nil
}

// errDown is an application that does not answer, or says itself that it cannot.
// Other bad answers may be due to the credentials: they must not open the
// circuit, or one caller with odd cookies could close the service to all.
var errDown = errors.New("the application is down")

// newForwardBreaker opens when half of at least 20 questions find the application
// down, and lets one question through every five seconds.
func newForwardBreaker(log zerolog.Logger) *gobreaker.CircuitBreaker[map[string]any] {
	const leastQuestions, window, openFor = 20, 10 * time.Second, 5 * time.Second
	return gobreaker.NewCircuitBreaker[map[string]any](gobreaker.Settings{
		Name:         "forward",
		MaxRequests:  1,
		Interval:     window + forwardTimeout, // an outcome counts from the begin of its question
		BucketPeriod: time.Second,
		Timeout:      openFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			asked := n.TotalSuccesses + n.TotalFailures
			return asked >= leastQuestions && 2*n.TotalFailures >= asked
		},
		IsSuccessful: func(err error) bool { return !errors.Is(err, errDown) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				log.Warn().Dur("open_for_ms", openFor).Msg("the application does not say who is signed in: the circuit is open, and probes")
			case to == gobreaker.StateClosed:
				log.Info().Msg("the application says who is signed in again: the circuit is closed")
			}
		},
	})
}

// unavailable is the answer when the application cannot say who it is: an
// outage, and never "nobody".
func (f *Forward) unavailable(err error) *clienttoken.Failure {
	return &clienttoken.Failure{
		Code:       clienttoken.Unavailable,
		RetryAfter: 5 * time.Second,
		Err:        fmt.Errorf("asking the application who is signed in: %w", err),
	}
}
