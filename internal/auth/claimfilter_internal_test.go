package auth

import (
	"strings"
	"testing"
)

// An oversized claim must not look absent. With the Customer claim, the user would
// seem to have no Customer.
func TestClaimFilterReplacesOversizedClaims(t *testing.T) {
	kept := newClaimFilter("sub", []string{"customer", "name", "none"}).apply(sources{{
		"sub": "alice", "customer": strings.Repeat("c", 1025), "name": strings.Repeat("n", 1024), "groups": "x",
	}})
	_, text := kept["customer"].(string)
	if _, there := kept["none"]; text || there || kept["customer"] == nil || kept["sub"] != "alice" || len(kept) != 3 {
		t.Errorf("%.100v", kept)
	}
}
