package auth

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// Mode is one way to sign in.
type Mode interface {
	// Name returns the mode's name in AUTH_MODES, logs and metrics.
	Name() string
	// Authenticate returns errNoCredential for a request without a credential of
	// this kind, a *Rejection for a bad one, and a *clienttoken.Failure during
	// an outage. Modes that call Redis or another service pay the charge with
	// that call. A nil charge is free.
	Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error)
}

// errNoCredential passes the request on to the next mode.
var errNoCredential = errors.New("no credential of this kind")

// Chain is an ordered list of modes.
type Chain struct {
	modes    []Mode
	users    clienttoken.UserIDs
	requests *prometheus.CounterVec // mode, outcome, reason
}

// NewChain returns a chain of the modes, in this order.
func NewChain(r prometheus.Registerer, modes ...Mode) *Chain {
	return &Chain{modes: modes, requests: newAuthentications(r, modes)}
}

// CompareUserIDs sets how all modes compare user ids, and returns c.
func (c *Chain) CompareUserIDs(users clienttoken.UserIDs) *Chain {
	c.users = users
	return c
}

// ask returns the mode's answer, with the canonical user id.
func (c *Chain) ask(m Mode, r *http.Request, charge *ratelimit.Charge) (Session, error) {
	session, err := m.Authenticate(r, charge)
	session.User.ID = c.users.Canonical(session.User.ID)
	return session, err
}

// Authenticate returns the session of the request. The first mode that finds a
// credential of its kind decides. The error is a *Rejection, a
// *clienttoken.Failure, a *ratelimit.ExceededError or that of the request's
// context. A session returned with an error is for the log only.
func (c *Chain) Authenticate(r *http.Request, charge *ratelimit.Charge) (Session, error) {
	for i, m := range c.modes {
		session, err := c.ask(m, r, charge)
		if errors.Is(err, errNoCredential) {
			continue
		}
		if err == nil {
			err = c.checkOthers(r, charge, session, c.modes[i+1:])
			if _, limited := errors.AsType[*ratelimit.ExceededError](err); limited {
				session = session.forLog()
			} else if err != nil {
				session = Session{}
			}
		}
		outcome, reason := outcome(err)
		c.requests.WithLabelValues(m.Name(), outcome, reason).Inc()
		return session, err
	}
	c.requests.WithLabelValues(noMode, "rejected", string(NoCredentials)).Inc()
	return Session{}, &Rejection{Mode: noMode, Kind: NoCredentials, Reason: "no credentials", Challenge: c.challenge()}
}

// challenge asks for a bearer token if the mode bearer reads the Authorization header (RFC 9110, 11.6.1).
// The other modes have no authentication scheme.
func (c *Chain) challenge() string {
	for _, m := range c.modes {
		if b, ok := m.(*Bearer); ok && b.config.Header == authorization {
			return bearerChallenge
		}
	}
	return ""
}
