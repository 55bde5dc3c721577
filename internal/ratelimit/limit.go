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

// The bounds of a Limit. One drop-in flow asks for nine tokens in a row
// (dwolla-personal-vcr with a document), and a burst has to let it pass.
const (
	minN, maxN           = 9, 1_000_000
	minWindow, maxWindow = time.Second, 24 * time.Hour
)

// UnmarshalText reads "60/1m": N, and the Window as time.ParseDuration does; or
// "off" for no limit.
func (l *Limit) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*l = Limit{}
		return nil
	}
	number, window, found := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(number)
	d, errWindow := time.ParseDuration(window)
	switch {
	case !found || err != nil || errWindow != nil:
		return errors.New("is neither off nor a number and a time such as 60/1m")
	case n < minN || n > maxN:
		return fmt.Errorf("%d is not within %d, which one drop-in component needs in a row, and %d", n, minN, maxN)
	case d < minWindow || d > maxWindow:
		return fmt.Errorf("%s is not within %s and %s", window, minWindow, maxWindow)
	}
	*l = Limit{n, d}
	return nil
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
	User Scope = "user"
	IP   Scope = "ip"
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
