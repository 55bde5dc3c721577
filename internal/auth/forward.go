package auth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"dropgate/internal/bulkhead"
	"dropgate/internal/bytecache"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// ForwardConfig configures the application to ask.
type ForwardConfig struct {
	// URL is where the application answers 200 with {"sub": …} for a user, and
	// 401, 403 or null without one.
	URL string
	// Cache is how long to cache a user; zero disables the cache. A sign-out in
	// the application takes up to that long to show here.
	Cache time.Duration
	// UserClaim names the member of the answer with the user's id.
	UserClaim string
	// Claims names other members to keep in a session.
	Claims []string
	// ClientAddress returns the address of a request's caller, for the application.
	// It may be nil.
	ClientAddress func(*http.Request) string
	Transport     http.RoundTripper
	// SetCookies names the cookies of the application that go back to the browser.
	SetCookies []string
	// Outcome is called after each call. An error means that the application does not
	// work; a refusal of credentials is none. It may be nil.
	Outcome func(error)
	Logger  zerolog.Logger // for the circuit and for dropped cookies
}

// Forward is the mode for applications with sessions of their own. It asks the
// application for the user of a request's cookies.
type Forward struct {
	config ForwardConfig
	user   claim
	claims claimFilter
	// transport is used without an http.Client. A client would follow redirects
	// with the cookies, and its errors quote redirect targets.
	transport http.RoundTripper
	flight    singleflight.Group
	waiters   waitLimit // requests waiting for the application
	inFlight  inFlightCredentials
	calls     *bulkhead.Bulkhead
	breaker   *gobreaker.CircuitBreaker[answer]
	dropped   sync.Once // the warning about cookies that do not go back
	// users caches the users of accepted credentials, so that the nine tokens of
	// one drop-in flow cost one call. The key is a SHA-256 of the question,
	// the size maxUsers bytes, the life config.Cache. Refusals are not cached:
	// a user may have just signed in.
	users *bytecache.Cache[questionDigest, Session]
	// noUsers caches refused credentials, only for requests with a credential of
	// another mode as well. After a sign-in at the application, such a request
	// may overlook the new user for up to config.Cache.
	noUsers *bytecache.Cache[questionDigest, struct{}]
	// limited caches users over their rate limit, until it refills, so that
	// their requests cause no calls. It only serves to refuse requests, so a
	// stale entry is harmless.
	limited *bytecache.Cache[questionDigest, string]
}

const (
	maxUsers        = 6 << 20 // bytes
	maxLimited      = 1 << 20 // bytes
	maxNoUsers      = 1 << 20 // bytes
	forwardTimeout  = 5 * time.Second
	maxForwardBody  = 16 << 10 // bytes of the application's answer
	maxForwardCalls = 64       // in flight; three times as many wait, for a second
)

// NewForward returns the mode. It panics without a URL and a user claim.
func NewForward(c ForwardConfig) *Forward {
	if c.URL == "" || c.UserClaim == "" {
		panic("auth: forward mode without URL or user claim")
	}
	return &Forward{
		config:    c,
		user:      mustClaim(c.UserClaim),
		claims:    newClaimFilter(c.UserClaim, c.Claims),
		users:     bytecache.New[questionDigest, Session](bytecache.Config{MaxBytes: maxUsers, Now: time.Now}),
		noUsers:   bytecache.New[questionDigest, struct{}](bytecache.Config{MaxBytes: maxNoUsers, Now: time.Now}),
		limited:   bytecache.New[questionDigest, string](bytecache.Config{MaxBytes: maxLimited, Now: time.Now}),
		calls:     bulkhead.New(maxForwardCalls),
		breaker:   newForwardBreaker(c.Logger),
		transport: cmp.Or(c.Transport, http.DefaultTransport),
	}
}

// Name returns "forward".
func (f *Forward) Name() string { return "forward" }

// Authenticate asks the application. Concurrent equal questions share one call.
// The client's address is charged first, to bound the calls.
func (f *Forward) Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error) {
	credentials := http.Header{}
	for _, name := range credentialHeaders() {
		if values := r.Header[name]; len(values) > 0 {
			credentials[name] = values
		}
	}
	if len(credentials) == 0 {
		return Session{}, errNoCredential
	}
	q := f.question(r, credentials)
	digest := q.digest()
	refused := f.inFlight.track(r.Context(), digest)
	if session, ok := f.users.Get(digest); ok {
		session.SignedOut = refused
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
	session, err := f.await(r.Context(), q, digest)
	if err != nil {
		return Session{}, err
	}
	if err := f.pay(r.Context(), charge, digest, session); err != nil {
		return session.forLog(), err
	}
	session.SignedOut = refused
	return session, nil
}

// authenticateOther authenticates further credentials of a request by userID. It
// charges this user before the call. It caches refusals too, because most
// requests carry unrelated cookies.
func (f *Forward) authenticateOther(ctx context.Context, charge *ratelimit.Charge, q question, userID string) (Session, error) {
	digest := q.digest()
	if session, ok := f.users.Get(digest); ok {
		return session, nil
	}
	if _, ok := f.noUsers.Get(digest); ok {
		return Session{}, errNoCredential
	}
	if err := charge.Pay(ctx, userID); err != nil {
		return Session{}, err
	}
	started := time.Now()
	session, err := f.await(ctx, q, digest)
	session.SetCookies = nil // another mode has identified the user
	if _, refused := errors.AsType[*Rejection](err); refused && f.config.Cache > 0 {
		f.noUsers.Add(digest, struct{}{}, 0, started.Add(f.config.Cache))
	}
	return session, err
}

// pay charges the user of the request, and caches a user over the limit until it
// refills.
func (f *Forward) pay(ctx context.Context, charge *ratelimit.Charge, digest questionDigest, s Session) error {
	err := charge.Pay(ctx, s.User.ID)
	if exceeded, ok := errors.AsType[*ratelimit.ExceededError](err); ok && exceeded.Scope == ratelimit.User {
		f.limited.Add(digest, s.User.ID, len(s.User.ID), time.Now().Add(exceeded.RetryAfter))
	}
	return err
}

// await waits for the application's answer. The number of waiting requests is
// bounded.
func (f *Forward) await(ctx context.Context, q question, digest questionDigest) (Session, error) {
	if !f.waiters.enter() {
		return Session{}, f.unavailable(errors.New("too many requests wait for it"))
	}
	defer f.waiters.leave()
	select {
	case answer := <-f.flight.DoChan(string(digest[:]), func() (any, error) { return f.ask(ctx, q, digest) }):
		session, _ := answer.Val.(Session) // ask returns nothing else
		return session, answer.Err
	case <-ctx.Done():
		return Session{}, ctx.Err() //nolint:wrapcheck // the caller's own cancellation
	}
}
