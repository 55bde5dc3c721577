package customer

import (
	"errors"
	"net/url"
	"strings"

	"dropgate/internal/clienttoken"
)

// lookupURL is the application's URL with a placeholder for the user id.
type lookupURL struct {
	before, after string // around the placeholder
	// head and tail are the rest of the id's path segment, decoded. Unused in a query.
	head, tail string
	inQuery    bool
}

// placeholder marks the place of the user id.
const placeholder = "{user}"

var (
	errOnePlaceholder = errors.New("it must contain {user} exactly once")
	errPlace          = errors.New("{user} must be in its path or query, and not inside an escape")
	errNotAbsolute    = errors.New("it must be an absolute http or https URL")
	errTooMuch        = errors.New("it must not contain a user name, a password or a fragment")
	errUnescaped      = errors.New("it contains characters that need escaping")
)

// parseLookupURL parses a URL with exactly one placeholder. Its errors do not quote
// the URL, which may contain a password.
func parseLookupURL(raw string) (lookupURL, error) {
	before, after, found := strings.Cut(raw, placeholder)
	if !found || strings.Contains(after, placeholder) {
		return lookupURL{}, errOnePlaceholder
	}
	start, err := url.Parse(before)
	inQuery := strings.Contains(before, "?")
	if err != nil || start.Path == "" && !inQuery || strings.Contains(before[max(0, len(before)-2):], "%") {
		return lookupURL{}, errPlace
	}
	// A hard id: net/url unescapes needless escapes, and an unescaped slash would
	// start a new segment.
	text := before + escape("a/b?c") + after
	whole, err := url.Parse(text)
	switch {
	case err != nil, whole.Scheme != "http" && whole.Scheme != "https", whole.Hostname() == "":
		return lookupURL{}, errNotAbsolute
	case whole.User != nil, strings.Contains(raw, "#"):
		return lookupURL{}, errTooMuch
	case strings.ContainsFunc(text, notOfAURL), !strings.EqualFold(whole.String(), text):
		return lookupURL{}, errUnescaped
	}
	u := lookupURL{before: before, after: after, inQuery: inQuery}
	if !inQuery {
		u.head, u.tail = neighbors(before, after)
	}
	return u, nil
}

// neighbors returns the decoded rest of the path segment between before and after.
// Both parse.
func neighbors(before, after string) (head, tail string) {
	if end := strings.IndexAny(after, "/?"); end >= 0 {
		after = after[:end]
	}
	head, _ = url.PathUnescape(before[strings.LastIndex(before, "/")+1:])
	tail, _ = url.PathUnescape(after)
	return head, tail
}

// notOfAURL reports whether a URL needs r escaped (RFC 3986).
func notOfAURL(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
}

var (
	errUserID  = errors.New("the user id is not 1 to 255 printable characters")
	errSegment = errors.New(`the user id would make a path segment empty, "." or ".."`)
)

// of returns the URL for a user. It escapes everything but letters, digits and -._~,
// so the id stays within its segment or value.
//
// Some proxies and servers decode a path first, then resolve "..", drop "." and join
// slashes. An id that would lead them to another path, perhaps another user's, is an
// error. In a query every id is safe.
func (u lookupURL) of(userID string) (string, error) {
	if !clienttoken.ValidUserID(userID) {
		return "", errUserID
	}
	if !u.inQuery {
		for segment := range strings.SplitSeq(strings.ReplaceAll(u.head+userID+u.tail, `\`, "/"), "/") {
			if segment == "" || segment == "." || segment == ".." {
				return "", errSegment
			}
		}
	}
	return u.before + escape(userID) + u.after, nil
}

// escape escapes for a path and a query. A space becomes %20, since some read
// url.QueryEscape's "+" as a plus sign.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
