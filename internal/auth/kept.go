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
		if size := sizeOf(value); size > maxClaim {
			value = oversized(size)
		} else if text, isText := value.(string); isText {
			value = strings.Clone(text) // which may be a piece of something large
		}
		kept[name] = value
	}
	return kept
}

// sizeOf is the memory that a decoded JSON value refers to, in bytes.
func sizeOf(value any) int {
	const boxed = 16
	switch value := value.(type) {
	case string:
		return len(value)
	case []any:
		size := 0
		for _, element := range value {
			size += boxed + sizeOf(element)
		}
		return size
	case map[string]any:
		size := mapBytes(len(value))
		for name, member := range value {
			size += len(name) + sizeOf(member)
		}
		return size
	}
	return boxed
}

// mapBytes is the memory of a map of claims with so many members: eight of them
// have a table of 400 bytes, and larger maps may be half empty.
func mapBytes(members int) int { return 400 + 80*max(members-8, 0) }

// heldBy is the memory that a session refers to, in bytes. The names of its
// claims are the same for all sessions.
func heldBy(s Session) int {
	const header = 16 // of each text
	size := mapBytes(len(s.User.Claims)) + header + len(s.User.ID)
	for _, value := range s.User.Claims {
		size += header + sizeOf(value)
	}
	return size
}

// logUser is what the log may know of a session that is refused.
func logUser(s Session) Session {
	return Session{User: clienttoken.User{ID: s.User.ID}, Mode: s.Mode}
}
