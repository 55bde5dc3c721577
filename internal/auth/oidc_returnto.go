package auth

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// returnToLimit is how many bytes a URL to return to has at most: it waits in a
// cookie while the user signs in.
const returnToLimit = 512

// returnTargets says where a browser may be sent after a sign-in.
type returnTargets struct {
	own     string   // the service's own public origin: https://app.example.com (no slash at the end)
	allowed []string // exact origins of other sites (lower case, as browsers write Origin)
}

// url returns the URL to send the browser to for returnTo: a path of the own
// origin, a URL of the own or an allowed origin, or nothing for the own page /.
// The result is an origin of the configuration and a path that begins with "/",
// so that no browser has anything to resolve, and url returns it unchanged.
func (t returnTargets) url(returnTo string) (string, error) {
	origin, rest := t.split(cmp.Or(returnTo, "/"))
	if err := checkReturn(origin, rest); err != nil {
		return "", fmt.Errorf("return_to %.100q %w", returnTo, err)
	}
	return origin + rest, nil
}

// split returns the origin that a URL or a path belongs to, and what follows
// it. Origins are compared as text: whatever a browser would only read as the
// same one (upper case, port 443, user info) stays in front of the path, where
// it is refused. After an origin without a path comes "/", because
// https://app.example.com?@evil.com has had readers who took it for a user.
func (t returnTargets) split(returnTo string) (origin, rest string) {
	for _, origin := range append([]string{t.own}, t.allowed...) {
		after, found := strings.CutPrefix(returnTo, origin)
		switch {
		case !found:
		case strings.HasPrefix(after, "/"):
			return origin, after
		case after == "", after[0] == '?', after[0] == '#':
			return origin, "/" + after
		}
	}
	return t.own, returnTo
}

// checkReturn refuses what is not a path, query and fragment of RFC 3986. Of
// these only the path says where the browser goes next: a query and a fragment
// may hold anything, also URLs.
func checkReturn(origin, rest string) error {
	switch {
	case !strings.HasPrefix(rest, "/"):
		return errors.New("is neither a path that begins with / nor a URL of an allowed origin")
	case len(origin)+len(rest) > returnToLimit:
		return fmt.Errorf("is longer than %d bytes with its origin", returnToLimit)
	case !regexp.MustCompile(`^([A-Za-z0-9._~:/?#\[\]@!$&()*+,;=-]|%[0-9A-Fa-f]{2})*$`).MatchString(rest):
		return errors.New("has characters that have to be percent-encoded")
	}
	path, _, _ := strings.Cut(rest, "#")
	path, _, _ = strings.Cut(path, "?")
	return checkReturnPath(path)
}

// checkReturnPath refuses a path that leads elsewhere once it is decoded: the
// application there may redirect by itself, to the path as it read it.
func checkReturnPath(path string) error {
	path, err := url.PathUnescape(path)
	unwanted := func(r rune) bool { return r == '\\' || unicode.IsControl(r) }
	switch {
	case err != nil, !utf8.ValidString(path), strings.ContainsFunc(path, unwanted):
		return errors.New("has a path with a backslash, a control character or invalid UTF-8")
	case regexp.MustCompile("%[0-9A-Fa-f]{2}").MatchString(path):
		return errors.New("has a path that is percent-encoded twice")
	}
	segments := strings.Split(path, "/")[1:]
	for i, segment := range segments {
		// Some servers take ";…" off a segment before they look at it.
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." || (name == "" && i == 0 && len(segments) > 1) {
			return errors.New("has a path that begins with // or has a dot segment")
		}
	}
	return nil
}
