// Package rotation holds secrets that change while the service runs, and looks for
// their new values.
//
// A secret is one value or several, one per line. All values are good for what
// others send to this service. This service sends the first one that the other side
// accepts. So two sides can change at different times. The package never prints a
// value, and knows nothing of what a secret is for.
package rotation

import (
	"slices"
	"strings"
	"sync"

	"dropgate/internal/clienttoken"
)

// Secret is a secret that can change. It is safe for concurrent use.
type Secret struct {
	mu       sync.Mutex
	values   []clienttoken.Secret
	accepted clienttoken.Secret // by the other side; empty if it has not said so
	refused  bool               // the other side refused a value since the last Set
}

// New returns a secret with the given values, one per line.
func New(lines clienttoken.Secret) *Secret { return &Secret{values: Values(lines)} }

// Values splits lines into their values. It skips empty lines and white space around
// a value.
func Values(lines clienttoken.Secret) []clienttoken.Secret {
	var values []clienttoken.Secret
	for line := range strings.Lines(lines.Reveal()) {
		if line = strings.TrimSpace(line); line != "" {
			values = append(values, clienttoken.NewSecret(line))
		}
	}
	return values
}

// Set replaces the values.
func (s *Secret) Set(lines clienttoken.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values, s.refused = Values(lines), false
}

// Values returns the values in their order, for checks of what others send.
func (s *Secret) Values() []clienttoken.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values)
}

// Candidates returns the values to send, in the order to try them. While the other
// side has accepted none of the present values, the last candidate is the value that
// it accepted before the change: that may be half-written, or come too early.
func (s *Secret) Candidates() []clienttoken.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepted.IsZero() {
		return slices.Clone(s.values)
	}
	if !s.holds(s.accepted) {
		return append(slices.Clone(s.values), s.accepted)
	}
	candidates := []clienttoken.Secret{s.accepted}
	for _, value := range s.values {
		if value.Reveal() != s.accepted.Reveal() {
			candidates = append(candidates, value)
		}
	}
	return candidates
}

// Accepted records a candidate as accepted by the other side. It comes first from then
// on.
func (s *Secret) Accepted(candidate clienttoken.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = candidate
}

// Confirmed reports whether the candidate accepted last is one of the present values.
func (s *Secret) Confirmed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.accepted.IsZero() && s.holds(s.accepted)
}

// Refused notes that the other side refuses a candidate. It reports whether this is
// the first refusal since the last Set, so that a caller reports it once.
func (s *Secret) Refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.refused
	s.refused = true
	return first
}

// holds reports whether a value is a present one. It compares the service's own
// secrets with each other, so the time reveals nothing.
func (s *Secret) holds(value clienttoken.Secret) bool {
	return slices.ContainsFunc(s.values, func(own clienttoken.Secret) bool { return own.Reveal() == value.Reveal() })
}
