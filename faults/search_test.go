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
	// shortest is how long a secret must be at least to be looked for: shorter ones
	// are found anywhere.
	shortest = 8
	// enough is how many bytes of a secret, from its beginning, say that it is
	// there: logs quote no more than so many characters of what they were given.
	enough = 32
)

// forms are the ways in which a secret may stand in a text of which the escapes
// have been undone: as it is, as a list of bytes as fmt and encoding/json write
// one, in hex, and in base64, also in the midst of something longer.
func forms(secret string) []string {
	secret = secret[:min(len(secret), enough)]
	found := []string{secret, readable(secret)}
	for _, whole := range []string{secret, url.QueryEscape(secret)} {
		for _, format := range []string{"%x", "%X", "% x", "% X"} {
			found = append(found, fmt.Sprintf(format, whole))
		}
		goes := fmt.Sprintf("%#v", []byte(whole)) // []byte{0x61, 0x62}
		found = append(found, goes[len("[]byte{"):len(goes)-1])
		list := strings.Trim(fmt.Sprintf("%d", []byte(whole)), "[]") // 97 98
		found = append(found, list, strings.ReplaceAll(list, " ", ","), strings.ReplaceAll(list, " ", ", "))
		found = append(found, inBase64(whole)...)
	}
	for _, form := range slices.Clone(found) { // a query of a URL has no spaces
		found = append(found, strings.ReplaceAll(form, " ", "+"))
	}
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(form string) bool { return len(form) < shortest })
}

// inBase64 is a text in base64 wherever it stands in something longer. Three
// bytes become four characters, so what stands before it can shift it in three
// ways. The characters that hold bits of what is around it are left out; what
// remains has no padding.
func inBase64(text string) (found []string) {
	for before := range 3 {
		longer := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
		core := longer[(before*8+5)/6 : (before+len(text))*8/6]
		found = append(found, core, strings.NewReplacer("+", "-", "/", "_").Replace(core))
	}
	return found
}

// escapes are those of URLs, those of strings in JSON, in Go and in scripts, and
// those of HTML.
type escapes [3]struct {
	pattern *regexp.Regexp
	undo    func(string) string
}

func newEscapes() escapes {
	return escapes{
		{regexp.MustCompile(`%[0-9A-Fa-f]{2}`), func(escape string) string {
			b, _ := hex.DecodeString(escape[1:]) // which the pattern has seen to
			return string(b)
		}},
		{regexp.MustCompile(`\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[abfnrtv"'/\\])`), unquoted},
		{regexp.MustCompile(`&(?:#[0-9]+|#[xX][0-9A-Fa-f]+|[A-Za-z0-9]+);`), html.UnescapeString},
	}
}

// mostViews is how many ways to read a text are looked at; three encodings within
// each other need some ten.
const mostViews = 64

// undone are a text and all that it is when escapes are undone, in every order:
// what has been put around a secret last has to be undone first.
func (e escapes) undone(text string) []string {
	views := []string{text}
	for i := 0; i < len(views) && i < mostViews; i++ {
		for _, escape := range e {
			if next := escape.pattern.ReplaceAllStringFunc(views[i], escape.undo); !slices.Contains(views, next) {
				views = append(views, next)
			}
		}
	}
	return views
}

// unquoted is the character that an escape of a string stands for.
func unquoted(escape string) string {
	if escape == `\/` || escape == `\'` {
		return escape[1:]
	}
	s, err := strconv.Unquote(`"` + escape + `"`)
	if err != nil {
		return "\uFFFD" // half of a pair that stands for one character
	}
	return s
}

// readable is a text of bytes as JSON and HTML have it: what is no UTF-8, and the
// byte 0, cannot be written there.
func readable(text string) string {
	return strings.ReplaceAll(string([]rune(text)), "\x00", "\uFFFD")
}

// searcher looks for many secrets at once: how many there are makes it no
// slower.
type searcher struct {
	escapes

	byPrefix map[uint64][]needle // by the first eight bytes
	likely   [1 << 16]bool       // by a hash of these
}

// needle is one form of a secret.
type needle struct{ name, form string }

// newSearcher looks for secrets, each with a name that may be told.
func newSearcher(names map[string]string) *searcher {
	s := &searcher{escapes: newEscapes(), byPrefix: map[uint64][]needle{}}
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

// in returns the names of the secrets that are in the text, in any form and any
// encoding.
func (s *searcher) in(text string) []string {
	var found []string
	for _, view := range s.undone(text) {
		found = append(found, s.literally(view)...)
		if clean := readable(view); clean != view {
			found = append(found, s.literally(clean)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// literally returns the names of the secrets of which a form is in the text.
func (s *searcher) literally(text string) (found []string) {
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
	return found
}
