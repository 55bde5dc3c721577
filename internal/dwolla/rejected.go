package dwolla

import "time"

// rejectedTokens are the times of the last rejected access tokens. One is harmless, because
// a new token takes its place.
type rejectedTokens struct {
	times  [3]time.Time
	warned time.Time
}

// often notes a rejection, and reports whether to log that there are many.
func (r *rejectedTokens) often(now time.Time) bool {
	copy(r.times[:], r.times[1:])
	r.times[len(r.times)-1] = now
	if now.Sub(r.times[0]) >= time.Minute || now.Sub(r.warned) < failingLogEvery {
		return false
	}
	r.warned = now
	return true
}
