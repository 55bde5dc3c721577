package auth

import (
	"fmt"
	"slices"
	"strings"

	"dropgate/internal/clienttoken"
)

// claimFilter lists the claims to keep after authentication. Tokens and answers
// hold kilobytes of other claims, too much for sessions and caches.
type claimFilter []claim

// newClaimFilter keeps the claim with the user's id and the others. It panics for an
// invalid name.
func newClaimFilter(user string, others []string) claimFilter {
	names := slices.Concat([]string{user}, others)
	slices.Sort(names)
	var filter claimFilter
	for _, name := range slices.Compact(names) {
		filter = append(filter, mustClaim(name))
	}
	return filter
}

// missing reports whether a claim is in none of the sources.
func (f claimFilter) missing(from sources) bool {
	return slices.ContainsFunc(f, func(c claim) bool { return from.find(c).value == nil })
}

// maxClaim bounds the value of one kept claim, in bytes.
const maxClaim = 1 << 10

// oversized replaces a value of more than maxClaim bytes. Readers of claims
// accept no such type, so the claim is present but never believed.
type oversized int

func (o oversized) String() string {
	return fmt.Sprintf("a value of %d bytes, above %d", int(o), maxClaim)
}

// apply returns copies of the kept claims.
func (f claimFilter) apply(from sources) map[string]any {
	kept := make(map[string]any, len(f))
	for _, c := range f {
		value := from.find(c).value
		if value == nil {
			continue
		}
		if size := clienttoken.ClaimBytes(value); size > maxClaim {
			value = oversized(size)
		} else if text, isText := value.(string); isText {
			value = strings.Clone(text) // it may share memory with a large document
		}
		kept[c.name] = value
	}
	return kept
}
