//go:build faults

package faults_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// minSecret is the minimum length of a secret, in bytes. Shorter texts would occur
	// anywhere.
	minSecret = 8
	// minPrefix is the length of a prefix that counts as a hit, in bytes. Logs may
	// truncate what they quote.
	minPrefix = 32
)

// forms returns the forms of a secret after escapes are undone: as it is, as a list of
// bytes by fmt or encoding/json, in hex, and in base64.
func forms(secret string) []string {
	secret = secret[:min(len(secret), minPrefix)]
	found := []string{secret, readable(secret)}
	for _, whole := range []string{secret, url.QueryEscape(secret)} {
		for _, format := range []string{"%x", "%X", "% x", "% X"} {
			found = append(found, fmt.Sprintf(format, whole))
		}
		goSyntax := fmt.Sprintf("%#v", []byte(whole)) // []byte{0x61, 0x62}
		found = append(found, goSyntax[len("[]byte{"):len(goSyntax)-1])
		list := strings.Trim(fmt.Sprintf("%d", []byte(whole)), "[]") // 97 98
		found = append(found, list, strings.ReplaceAll(list, " ", ","), strings.ReplaceAll(list, " ", ", "))
		found = append(found, base64Forms(whole)...)
	}
	for _, form := range slices.Clone(found) { // URL queries have no spaces
		found = append(found, strings.ReplaceAll(form, " ", "+"))
	}
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(form string) bool { return len(form) < minSecret })
}

// base64Forms returns the base64 of a text inside a longer text. Three bytes become four
// characters, so there are three possible offsets. Characters that also encode
// neighboring bytes are left out, and so is padding.
func base64Forms(text string) (found []string) {
	for before := range 3 {
		longer := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
		core := longer[(before*8+5)/6 : (before+len(text))*8/6]
		found = append(found, core, strings.NewReplacer("+", "-", "/", "_").Replace(core))
	}
	return found
}

// escapes are those of URLs, of strings (JSON, Go, scripts), and of HTML.
type escapes [3]struct {
	pattern *regexp.Regexp
	undo    func(string) string
}

func newEscapes() escapes {
	return escapes{
		{regexp.MustCompile(`%[0-9A-Fa-f]{2}`), func(escape string) string {
			b, _ := hex.DecodeString(escape[1:]) // the pattern guarantees hex
			return string(b)
		}},
		{regexp.MustCompile(`\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[abfnrtv"'/\\])`), unquoted},
		{regexp.MustCompile(`&(?:#[0-9]+|#[xX][0-9A-Fa-f]+|[A-Za-z0-9]+);`), html.UnescapeString},
	}
}

// maxViews limits the ways to read a text. Three nested encodings need about ten.
const maxViews = 64

// unescapedViews returns a text, and all results of undoing its escapes in any order. The
// outermost encoding must be undone first.
func (e escapes) unescapedViews(text string) []string {
	views := []string{text}
	for i := 0; i < len(views) && i < maxViews; i++ {
		for _, escape := range e {
			if next := escape.pattern.ReplaceAllStringFunc(views[i], escape.undo); !slices.Contains(views, next) {
				views = append(views, next)
			}
		}
	}
	return views
}

// unquoted decodes one escape of a string.
func unquoted(escape string) string {
	if escape == `\/` || escape == `\'` {
		return escape[1:]
	}
	s, err := strconv.Unquote(`"` + escape + `"`)
	if err != nil {
		return "\uFFFD" // half of a surrogate pair
	}
	return s
}

// readable returns bytes as JSON and HTML write them. Neither can hold invalid UTF-8 or
// the byte 0.
func readable(text string) string {
	return strings.ReplaceAll(string([]rune(text)), "\x00", "\uFFFD")
}

// searcher looks for many secrets at once. Its speed does not depend on their number.
type searcher struct {
	escapes

	byPrefix map[uint64][]needle // by the first eight bytes
	likely   [1 << 16]bool       // by a hash of the first eight bytes
}

// needle is one form of a secret.
type needle struct{ name, form string }

// newSearcher returns a searcher for secrets, which maps each to a public name.
func newSearcher(names map[string]string) *searcher {
	s := &searcher{escapes: newEscapes(), byPrefix: map[uint64][]needle{}}
	for secret, name := range names {
		for _, form := range forms(secret) {
			var prefix uint64
			for i := range minSecret {
				prefix = prefix<<8 | uint64(form[i])
			}
			s.byPrefix[prefix] = append(s.byPrefix[prefix], needle{name, form})
			s.likely[slot(prefix)] = true
		}
	}
	return s
}

func slot(prefix uint64) uint16 { return uint16(prefix * 0x9e3779b97f4a7c15 >> 48) }

// in returns the names of all secrets in a text, in any form and any encoding.
func (s *searcher) in(text string) []string {
	var found []string
	for _, view := range s.unescapedViews(text) {
		found = append(found, s.literally(view)...)
		if clean := readable(view); clean != view {
			found = append(found, s.literally(clean)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// literally returns the names of secrets with a form in the text. It undoes no escapes.
func (s *searcher) literally(text string) (found []string) {
	var prefix uint64
	for i := range len(text) {
		prefix = prefix<<8 | uint64(text[i])
		if i < minSecret-1 || !s.likely[slot(prefix)] {
			continue
		}
		for _, n := range s.byPrefix[prefix] {
			if strings.HasPrefix(text[i-minSecret+1:], n.form) && !slices.Contains(found, n.name) {
				found = append(found, n.name)
			}
		}
	}
	return found
}
