package auth

import (
	"slices"
	"strings"

	"dropgate/internal/clienttoken"
)

// keptClaims are the names of the claims that somebody reads after the sign-in.
// The others are dropped: a token or an answer holds kilobytes of them, and
// sessions and caches would keep those.
type keptClaims []string

// newKeptClaims returns the names, that of the user's id among them.
func newKeptClaims(user string, others []string) keptClaims {
	names := slices.Concat([]string{user}, others)
	slices.Sort(names)
	return slices.Compact(names)
}

// maxClaim bounds the value of one kept claim, in bytes.
const maxClaim = 1 << 10

// oversized stands for a value of more than maxClaim bytes. It has a type that
// no reader of claims takes, so that the claim is neither believed nor absent.
type oversized int

// of returns copies of the kept claims among all.
func (k keptClaims) of(all map[string]any) map[string]any {
	kept := make(map[string]any, len(k))
	for _, name := range k {
		value, ok := all[name]
		if !ok {
			continue
		}
		if size := clienttoken.ClaimBytes(value); size > maxClaim {
			value = oversized(size)
		} else if text, isText := value.(string); isText {
			value = strings.Clone(text) // which may be a piece of something large
		}
		kept[name] = value
	}
	return kept
}

// heldBy is the memory that a session refers to, in bytes.
func heldBy(s Session) int { return s.User.Bytes() }

// logUser is what the log may know of a session that is refused.
func logUser(s Session) Session {
	return Session{User: clienttoken.User{ID: s.User.ID}, Mode: s.Mode}
}
