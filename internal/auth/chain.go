package auth

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// Session is a user who is signed in, as far as one request shows it.
type Session struct {
	User clienttoken.User
	Mode string // the mode that vouches for the user: "bearer"
	// ByCookie is true when the browser sent the credentials by itself, to us or
	// to a proxy in front of us, so that another site may have caused the
	// request.
	ByCookie bool
	Expires  time.Time // when the credentials stop being good; zero if unknown
	// SignedOut reports whether the sign-in has ended on this replica since the
	// session was found. It is nil where nothing ends a sign-in.
	SignedOut func() bool
}

// Over reports whether the session has ended since it was found, as far as this
// replica knows: nobody is asked.
func (s Session) Over() bool {
	return s.SignedOut != nil && s.SignedOut() || !s.Expires.IsZero() && time.Since(s.Expires) >= maxSkew
}

// Ended is the rejection of a session that is over.
func (s Session) Ended() *Rejection {
	return &Rejection{Mode: s.Mode, Reason: "the sign-in ended while the request was under way"}
}

// Mode is one way to sign in.
type Mode interface {
	// Name is the mode's name in AUTH_MODES, logs and metrics.
	Name() string
	// Authenticate returns errNotMine when the request has no credential of
	// this mode's kind, a *Rejection when it has a bad one, and a
	// *clienttoken.Failure when that cannot be known now. A mode that goes to
	// the rate limits' Redis, or asks somebody else, pays the charge with it; a
	// nil charge costs nothing.
	Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error)
}

// errNotMine passes the request on to the next mode.
var errNotMine = errors.New("no credential of this kind")

// Rejection says that nobody is signed in. Its Reason is for the log; who
// probes for credentials must not learn it.
type Rejection struct {
	Mode      string // "none" when there was no credential at all
	Reason    string
	Challenge string // the WWW-Authenticate header of the answer; may be empty
}

func (r *Rejection) Error() string { return r.Mode + ": " + r.Reason }

// Chain is an ordered list of modes.
type Chain struct {
	modes    []Mode
	users    clienttoken.UserIDs
	requests *prometheus.CounterVec // mode, outcome
}

// NewChain asks modes in the given order.
func NewChain(r prometheus.Registerer, modes ...Mode) *Chain {
	c := &Chain{
		modes: modes,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_auth_total",
			Help: "Authentications by mode (none: no credentials) and outcome: accepted, rejected, limited (there were too many requests) or unavailable.",
		}, []string{"mode", "outcome"}),
	}
	r.MustRegister(c.requests)
	return c
}

// Comparing returns c with user ids that are compared in that way, whatever mode
// names the user.
func (c *Chain) Comparing(users clienttoken.UserIDs) *Chain {
	c.users = users
	return c
}

// ask is the mode's answer, with the user id in its canonical form.
func (c *Chain) ask(m Mode, r *http.Request, charge *ratelimit.Charge) (Session, error) {
	session, err := m.Authenticate(r, charge)
	session.User.ID = c.users.Canonical(session.User.ID)
	return session, err
}

// Authenticate returns the session of the request, a *Rejection, a
// *clienttoken.Failure, an *ratelimit.ExceededError or the error of the request's
// context. The first mode with a credential of its kind in the request decides. Beside an error the session is only good for the log.
func (c *Chain) Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error) {
	for i, m := range c.modes {
		session, err := c.ask(m, r, charge)
		if errors.Is(err, errNotMine) {
			continue
		}
		if err == nil {
			err = c.agree(r, charge, session, c.modes[i+1:])
			if _, limited := errors.AsType[*ratelimit.ExceededError](err); limited {
				session = logUser(session)
			} else if err != nil {
				session = Session{}
			}
		}
		c.requests.WithLabelValues(m.Name(), outcome(err)).Inc()
		return session, err
	}
	c.requests.WithLabelValues("none", "rejected").Inc()
	return Session{}, &Rejection{Mode: "none", Reason: "no credentials", Challenge: c.challenge()}
}

// challenge asks for a bearer token where one would be looked at (RFC 9110,
// 11.6.1). The other modes have no scheme to name.
func (c *Chain) challenge() string {
	for _, m := range c.modes {
		if m.Name() == bearerName {
			return bearerChallenge
		}
	}
	return ""
}

func outcome(err error) string {
	if err == nil {
		return "accepted"
	}
	if _, ok := errors.AsType[*Rejection](err); ok {
		return "rejected"
	}
	if _, ok := errors.AsType[*ratelimit.ExceededError](err); ok {
		return "limited"
	}
	return "unavailable"
}
