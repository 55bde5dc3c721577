package customer

import (
	"errors"
	"net/url"
	"strings"

	"dropgate/internal/clienttoken"
)

// lookupURL is the URL of an application with a place for the user's id.
type lookupURL struct {
	before, after string // of the place
	// head and tail are what shares the id's path segment, decoded. They mean
	// nothing where the place is in the query.
	head, tail string
	inQuery    bool
}

// placeholder is where the user's id goes.
const placeholder = "{user}"

var (
	errOnePlaceholder = errors.New("{user} has to stand in it exactly once")
	errPlace          = errors.New("{user} has to stand in its path or its query, and not within an escape")
	errNotAbsolute    = errors.New("it has to be an absolute http or https URL")
	errTooMuch        = errors.New("it may have neither a user name or password nor a fragment")
	errUnescaped      = errors.New("it holds characters that have to be escaped")
)

// parseLookupURL reads a URL that holds {user} once. Its errors do not quote
// it: there may be a password in it.
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
	// An id with all that can go wrong: what net/url has to escape by itself it
	// unescapes first, and a slash of the id would become one of the path.
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

// neighbors returns, decoded, what shares a path segment with what stands
// between before and after. Both have been parsed.
func neighbors(before, after string) (head, tail string) {
	if end := strings.IndexAny(after, "/?"); end >= 0 {
		after = after[:end]
	}
	head, _ = url.PathUnescape(before[strings.LastIndex(before, "/")+1:])
	tail, _ = url.PathUnescape(after)
	return head, tail
}

// notOfAURL reports whether r has to be escaped in a URL (RFC 3986).
func notOfAURL(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
}

var (
	errUserID  = errors.New("the user's id is not 1 to 255 printable characters")
	errSegment = errors.New(`the user's id would make a segment of the path empty, "." or ".."`)
)

// of returns the URL for a user. Everything but letters, digits and -._~ is
// escaped, so that the id stays within its segment or its value, whoever reads
// the URL.
//
// An escape does not hide everything from everybody: some proxies and servers
// decode a path first, and then resolve "..", drop "." and join slashes. An id
// that would lead them to another path, which may be another user's, is an
// error. In a query all ids are fine.
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

// escape is good for a path and for a query: a space is %20 in both, where
// url.QueryEscape's "+" would be a plus sign to some.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
