package auth

import (
	"slices"
	"strings"

	"dropgate/internal/clienttoken"
)

// claimFilter lists the claims to keep after authentication. Tokens and answers
// hold kilobytes of other claims, too much for sessions and caches.
type claimFilter []string

// newClaimFilter keeps the claim with the user's id and the others.
func newClaimFilter(user string, others []string) claimFilter {
	names := slices.Concat([]string{user}, others)
	slices.Sort(names)
	return slices.Compact(names)
}

// maxClaim bounds the value of one kept claim, in bytes.
const maxClaim = 1 << 10

// oversized replaces a value of more than maxClaim bytes. Readers of claims
// accept no such type, so the claim is present but never believed.
type oversized int

// apply returns copies of the kept claims.
func (f claimFilter) apply(claims map[string]any) map[string]any {
	kept := make(map[string]any, len(f))
	for _, name := range f {
		value, ok := claims[name]
		if !ok {
			continue
		}
		if size := clienttoken.ClaimBytes(value); size > maxClaim {
			value = oversized(size)
		} else if text, isText := value.(string); isText {
			value = strings.Clone(text) // it may share memory with a large document
		}
		kept[name] = value
	}
	return kept
}
