package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit is N requests per Window: N at once, and then one more each Window/N.
// The zero Limit is none.
type Limit struct {
	N      int
	Window time.Duration
}

// The bounds of a Limit. A burst has to let the longest flow pass: a Customer with
// four beneficial owners asks for 20 tokens, and its page for a few sessions beside
// them (docs/limits.md).
const (
	minN, maxN           = 25, 1_000_000
	minWindow, maxWindow = time.Second, 24 * time.Hour
)

// UnmarshalText reads "60/1m": N, and the Window as time.ParseDuration does; or
// "off" for no limit.
func (l *Limit) UnmarshalText(text []byte) (err error) {
	*l, err = parse(string(text), minN, "which a Customer with four beneficial owners needs in a row")
	return err
}

// Rare is a Limit of what nobody does often: its N is at least 1.
type Rare struct{ Limit }

// UnmarshalText reads what Limit reads.
func (r *Rare) UnmarshalText(text []byte) (err error) {
	r.Limit, err = parse(string(text), 1, "for a first attempt")
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
		return Limit{}, errors.New("is neither off nor a number and a time such as 60/1m")
	case n < least || n > maxN:
		return Limit{}, fmt.Errorf("%d is not within %d, %s, and %d", n, least, why, maxN)
	case d < minWindow || d > maxWindow:
		return Limit{}, fmt.Errorf("%s is not within %s and %s", window, minWindow, maxWindow)
	}
	return Limit{n, d}, nil
}

// interval is how long one request takes to be refilled, in microseconds and
// rounded up: never more than N in a Window.
func (l Limit) interval() int64 {
	if l.N == 0 {
		return 0
	}
	n := int64(l.N)
	return (l.Window.Microseconds() + n - 1) / n
}

// capacity is how long it takes to refill all, in microseconds; 0 is no limit.
func (l Limit) capacity() int64 { return l.interval() * int64(l.N) }

// Scope says whose limit it is.
type Scope string

// The scopes.
const (
	User   Scope = "user"
	IP     Scope = "ip"
	Create Scope = "create" // customer.create, by user
)

// ExceededError says that there were too many requests.
type ExceededError struct {
	Scope      Scope
	Limit      Limit
	RetryAfter time.Duration // until the next request is let pass
}

func (e *ExceededError) Error() string {
	return fmt.Sprintf("more than %d requests in %s (RATE_LIMIT_%s)", e.Limit.N, e.Limit.Window, strings.ToUpper(string(e.Scope)))
}
