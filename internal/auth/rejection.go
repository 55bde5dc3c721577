package auth

import (
	"cmp"
	"errors"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/ratelimit"
)

// Rejection refuses a request's credentials. Its Reason is for the log, since
// it would help an attacker.
type Rejection struct {
	Mode      string // "none" without any credential
	Kind      RejectionKind
	Reason    string
	Challenge string // the WWW-Authenticate header of the answer; may be empty
}

func (r *Rejection) Error() string { return r.Mode + ": " + r.Reason }

// RejectionKind says in one word why credentials are refused. It is a metric label.
type RejectionKind string

// The kinds of rejections.
const (
	NoCredentials RejectionKind = "no_credentials"
	Ambiguous     RejectionKind = "ambiguous"    // given twice
	Invalid       RejectionKind = "invalid"      // malformed, or with a bad signature
	UnknownKey    RejectionKind = "unknown_key"  // signed by a key that the provider has not published, as far as we know
	WrongParty    RejectionKind = "wrong_party"  // of another issuer, audience or client
	Expired       RejectionKind = "expired"      // or not valid yet
	Unsupported   RejectionKind = "unsupported"  // bound to a proof that dropgate cannot verify
	NoUser        RejectionKind = "no_user"      // names no usable user id
	SessionEnded  RejectionKind = "session"      // the session has ended, or never existed
	Disagreement  RejectionKind = "disagreement" // the request's credentials name different users
	Untrusted     RejectionKind = "untrusted"    // the proxy's headers, without its address and secret
	Refused       RejectionKind = "refused"      // by the application, in the mode forward
)

// rejectionKinds lists the kinds of the modes' own rejections.
func rejectionKinds() []RejectionKind {
	return []RejectionKind{Ambiguous, Invalid, UnknownKey, WrongParty, Expired, Unsupported, NoUser, SessionEnded, Disagreement, Untrusted, Refused}
}

// noMode is the mode of a request without credentials.
const noMode = "none"

// newAuthentications returns the counter of authentications. All of its series exist
// from the start.
func newAuthentications(r prometheus.Registerer, modes []Mode) *prometheus.CounterVec {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dropgate_auth_total",
		Help: "Authentications by mode (none: no credentials), outcome (accepted, rejected, limited (over a rate limit) or unavailable) and reason (none, or the kind of the rejection).",
	}, []string{"mode", "outcome", "reason"})
	requests.WithLabelValues(noMode, "rejected", string(NoCredentials))
	for _, m := range modes {
		for _, outcome := range []string{"accepted", "limited", "unavailable"} {
			requests.WithLabelValues(m.Name(), outcome, "none")
		}
		for _, kind := range rejectionKinds() {
			requests.WithLabelValues(m.Name(), "rejected", string(kind))
		}
	}
	r.MustRegister(requests)
	return requests
}

// outcome returns the labels of an authentication.
func outcome(err error) (outcome, reason string) {
	if err == nil {
		return "accepted", "none"
	}
	if rejection, ok := errors.AsType[*Rejection](err); ok {
		return "rejected", string(cmp.Or(rejection.Kind, Invalid))
	}
	if _, ok := errors.AsType[*ratelimit.ExceededError](err); ok {
		return "limited", "none"
	}
	return "unavailable", "none"
}

// kindOfTime returns the kind of an error about a token's times.
func kindOfTime(err error) RejectionKind {
	if errors.Is(err, jwt.ErrExpired) || errors.Is(err, jwt.ErrNotValidYet) || errors.Is(err, jwt.ErrIssuedInTheFuture) {
		return Expired
	}
	return Invalid
}
