package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit is N requests per Window: a burst of up to N, then one more every Window/N.
// The zero Limit means unlimited.
type Limit struct {
	N      int
	Window time.Duration
}

// The bounds of a Limit. A burst must fit the longest flow: a Customer with four
// beneficial owners needs 20 tokens, and its page also reads a few sessions
// (docs/limits.md).
const (
	minN, maxN           = 25, 1_000_000
	minWindow, maxWindow = time.Second, 24 * time.Hour
)

// UnmarshalText reads "off", or N and a duration for [time.ParseDuration], such as
// "60/1m".
func (l *Limit) UnmarshalText(text []byte) (err error) {
	*l, err = parse(string(text), minN, "a Customer with four beneficial owners needs that many in a row")
	return err
}

// Rare is a Limit on something users seldom do: its N may be as low as 1.
type Rare struct{ Limit }

// UnmarshalText reads the same texts as Limit.
func (r *Rare) UnmarshalText(text []byte) (err error) {
	r.Limit, err = parse(string(text), 1, "the first attempt")
	return err
}

func parse(text string, least int, why string) (Limit, error) {
	if text == "off" {
		return Limit{}, nil
	}
	number, window, found := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	d, errWindow := time.ParseDuration(window)
	switch {
	case !found || err != nil || errWindow != nil:
		return Limit{}, errors.New("must be off, or a number and a duration such as 60/1m")
	case n < least || n > maxN:
		return Limit{}, fmt.Errorf("%d must be between %d (%s) and %d", n, least, why, maxN)
	case d < minWindow || d > maxWindow:
		return Limit{}, fmt.Errorf("%s must be between %s and %s", window, minWindow, maxWindow)
	}
	return Limit{n, d}, nil
}

// interval is the refill time of one request in microseconds, rounded up so that a
// Window never allows more than N.
func (l Limit) interval() int64 {
	if l.N == 0 {
		return 0
	}
	n := int64(l.N)
	return (l.Window.Microseconds() + n - 1) / n
}

// capacity is the refill time of a full burst in microseconds; 0 means unlimited.
func (l Limit) capacity() int64 { return l.interval() * int64(l.N) }

// Scope names a limit by its subject.
type Scope string

// The scopes.
const (
	User   Scope = "user"
	IP     Scope = "ip"
	Create Scope = "create" // customer.create tokens per user
)

// ExceededError reports too many requests.
type ExceededError struct {
	Scope      Scope
	Limit      Limit
	RetryAfter time.Duration // until the next request may pass
}

func (e *ExceededError) Error() string {
	return fmt.Sprintf("more than %d requests in %s (RATE_LIMIT_%s)", e.Limit.N, e.Limit.Window, strings.ToUpper(string(e.Scope)))
}
