//go:build faults

package faults_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// shortest is how long a secret must be at least to be looked for: shorter ones
// are found anywhere.
const shortest = 8

// forms are the ways in which a secret may stand in a text: as it is, encoded
// for a URL, in hex, and in base64, also in the midst of something longer.
func forms(secret string) []string {
	found := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), lowerEscapes(url.QueryEscape(secret)), lowerEscapes(url.PathEscape(secret)),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	// Three bytes become four characters, so what stands before it can shift the
	// secret in three ways. The characters that hold bits of what is around it
	// are left out; what remains has no padding.
	for before := range 3 {
		longer := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + secret))
		core := longer[(before*8+5)/6 : (before+len(secret))*8/6]
		found = append(found, core, strings.NewReplacer("+", "-", "/", "_").Replace(core), url.QueryEscape(core))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(escaped string) string {
	return regexp.MustCompile(`%[0-9A-F]{2}`).ReplaceAllStringFunc(escaped, strings.ToLower)
}

// searcher looks for many secrets at once: how many there are makes it no
// slower.
type searcher struct {
	byPrefix map[uint64][]needle // by the first eight bytes
	likely   [1 << 16]bool       // by a hash of these
}

// needle is one form of a secret.
type needle struct{ name, form string }

// newSearcher looks for secrets, each with a name that may be told.
func newSearcher(names map[string]string) *searcher {
	s := &searcher{byPrefix: map[uint64][]needle{}}
	for secret, name := range names {
		for _, form := range forms(secret) {
			var prefix uint64
			for i := range shortest {
				prefix = prefix<<8 | uint64(form[i])
			}
			s.byPrefix[prefix] = append(s.byPrefix[prefix], needle{name, form})
			s.likely[slot(prefix)] = true
		}
	}
	return s
}

func slot(prefix uint64) uint16 { return uint16(prefix * 0x9e3779b97f4a7c15 >> 48) }

// in returns the names of the secrets that are in the text, in any form.
func (s *searcher) in(text string) []string {
	var found []string
	var prefix uint64
	for i := range len(text) {
		prefix = prefix<<8 | uint64(text[i])
		if i < shortest-1 || !s.likely[slot(prefix)] {
			continue
		}
		for _, n := range s.byPrefix[prefix] {
			if strings.HasPrefix(text[i-shortest+1:], n.form) && !slices.Contains(found, n.name) {
				found = append(found, n.name)
			}
		}
	}
	slices.Sort(found)
	return found
}
