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
	"time"

	"github.com/go-json-experiment/json"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"dropgate/internal/clienttoken"
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
	Transport http.RoundTripper
}

// Forward is the mode for applications with a session of their own: it asks
// the application who a request's cookies belong to.
type Forward struct {
	config ForwardConfig
	// transport is asked without a client around it: a client would follow
	// redirects, and the cookies are for the application alone, and would put
	// the address of one that it cannot follow into its error.
	transport http.RoundTripper
	flight    singleflight.Group
	// known remembers users whom the application named, so that the nine tokens
	// of one drop-in flow cost one question. The key is a SHA-256 of the
	// credentials, the size is maxKnown, the life is Cache. "Nobody" is not
	// remembered: who has just signed in would be told to wait.
	known *lru.Cache[credentialsDigest, knownUser]
}

type credentialsDigest [sha256.Size]byte

type knownUser struct {
	session Session
	until   time.Time
}

const (
	maxKnown       = 10_000
	forwardTimeout = 5 * time.Second
	maxWhoIs       = 16 << 10 // bytes of the application's answer
)

// NewForward returns the mode. It panics without a URL and a user claim.
func NewForward(c ForwardConfig) *Forward {
	if c.URL == "" || c.UserClaim == "" {
		panic("auth: forward mode without URL or user claim")
	}
	known, err := lru.New[credentialsDigest, knownUser](maxKnown)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Forward{
		config:    c,
		known:     known,
		transport: cmp.Or(c.Transport, http.DefaultTransport),
	}
}

// Name returns "forward".
func (f *Forward) Name() string { return "forward" }

// Authenticate asks the application, with the request's Cookie and
// Authorization headers and nothing else of it. Equal questions at the same
// time are one.
func (f *Forward) Authenticate(r *http.Request) (Session, error) {
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
	if user, ok := f.known.Get(digest); ok && time.Now().Before(user.until) {
		return user.session, nil
	}
	select {
	case answer := <-f.flight.DoChan(string(digest[:]), func() (any, error) { return f.ask(credentials, digest) }):
		session, _ := answer.Val.(Session) // ask returns nothing else
		return session, answer.Err
	case <-r.Context().Done():
		return Session{}, r.Context().Err() //nolint:wrapcheck // the caller's own cancellation, as it came
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
	ctx, cancel := context.WithTimeout(context.Background(), forwardTimeout)
	defer cancel()
	asked := time.Now()
	claims, err := f.whoIs(ctx, credentials)
	if err != nil {
		return Session{}, err
	}
	id, _ := claims[f.config.UserClaim].(string)
	if !clienttoken.ValidUserID(id) {
		return Session{}, f.unavailable(errors.New(f.config.UserClaim + " in the application's answer is not a user id of 1 to 255 printable characters"))
	}
	session := Session{
		User:     clienttoken.User{ID: id, Claims: claims},
		Mode:     f.Name(),
		ByCookie: len(credentials["Cookie"]) > 0,
	}
	if f.config.Cache > 0 {
		f.known.Add(digest, knownUser{session, asked.Add(f.config.Cache)})
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
		return nil, f.unavailable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, &Rejection{Mode: f.Name(), Reason: fmt.Sprintf("the application answered %d", resp.StatusCode)}
	default:
		return nil, f.unavailable(fmt.Errorf("the application answered %d", resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxWhoIs+1))
	if err != nil {
		return nil, f.unavailable(err)
	}
	var claims map[string]any
	if len(body) > maxWhoIs || json.Unmarshal(body, &claims) != nil {
		return nil, f.unavailable(fmt.Errorf("the application's answer is no JSON object of at most %d bytes", maxWhoIs))
	}
	return claims, nil
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
