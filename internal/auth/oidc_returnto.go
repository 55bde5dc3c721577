package auth

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxReturnTo bounds a return_to URL, in bytes, since it travels in a cookie.
	maxReturnTo = 2048
	// maxEncodings bounds how often a path may be percent-encoded.
	maxEncodings = 4
)

// returnTargets lists where a browser may return to after a sign-in.
type returnTargets struct {
	own     string   // the service's public origin: https://app.example.com (no trailing slash)
	home    string   // the URL of the application's start page
	allowed []string // other origins, in lower case as in the Origin header
}

// newReturnTargets panics if the start page is not on an allowed origin.
func newReturnTargets(c OIDCConfig) returnTargets {
	t := returnTargets{own: c.Origin, allowed: c.AllowedOrigins}
	home, err := t.url(c.AppURL)
	if err != nil {
		panic("auth: start page: " + err.Error())
	}
	t.home = home
	return t
}

// target is where a browser returns to after a sign-in.
type target struct {
	returnTo, url string
	ignored       string // why the given return_to does not count, or empty
}

// choose returns the target for the return_to of a request. One that is not allowed,
// or not the only one, counts as none.
func (t returnTargets) choose(given ...string) target {
	if len(given) > 1 {
		return target{url: t.start(), ignored: "return_to is given twice"}
	}
	returnTo := strings.Join(given, "")
	to, err := t.url(returnTo)
	if err != nil {
		return target{url: t.start(), ignored: err.Error()}
	}
	return target{returnTo: returnTo, url: to}
}

// start returns the URL of the application's start page.
func (t returnTargets) start() string { return cmp.Or(t.home, t.own+"/") }

// url returns the absolute URL for returnTo: a path on our own origin, or a URL on
// our own or an allowed origin. Empty means the start page. The result is always a
// configured origin followed by "/", so browsers have nothing to resolve.
func (t returnTargets) url(returnTo string) (string, error) {
	if returnTo == "" {
		return t.start(), nil
	}
	origin, rest := t.split(returnTo)
	if err := checkReturn(origin, rest); err != nil {
		return "", fmt.Errorf("return_to %.100q %w", returnTo, err)
	}
	return origin + rest, nil
}

// split separates the origin of a URL or path from the rest. It compares origins
// as text. Equivalent spellings (upper case, port 443, user info) stay in the rest,
// and checkReturn refuses them. An origin without a path gets "/", because some
// parsers read a user name in https://app.example.com?@evil.com.
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

// checkReturn accepts a path, query and fragment of RFC 3986, with the characters
// that browsers leave unencoded in some places: ^ ` { | }. Query and fragment may hold
// anything, even URLs, since only the path decides where the browser goes.
func checkReturn(origin, rest string) error {
	switch {
	case !strings.HasPrefix(rest, "/"):
		return errors.New("is neither a path that starts with / nor a URL of an allowed origin")
	case len(origin)+len(rest) > maxReturnTo:
		return fmt.Errorf("is longer than %d bytes with its origin", maxReturnTo)
	case !regexp.MustCompile(`^([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=^\x60{|}-]|%[0-9A-Fa-f]{2})*$`).MatchString(rest):
		return errors.New("has characters that must be percent-encoded")
	}
	path, _, _ := strings.Cut(rest, "#")
	path, _, _ = strings.Cut(path, "?")
	return checkReturnPath(path)
}

// checkReturnPath refuses a path with another meaning once decoded. The application,
// or a proxy in front of it, might redirect to a decoded form, so each form counts.
func checkReturnPath(path string) error {
	encoded := regexp.MustCompile("%[0-9A-Fa-f]{2}")
	for range maxEncodings {
		if err := checkDecodedPath(path); err != nil || !encoded.MatchString(path) {
			return err
		}
		path = encoded.ReplaceAllStringFunc(path, func(s string) string {
			b, _ := strconv.ParseUint(s[1:], 16, 8) // two hexadecimal digits
			return string([]byte{byte(b)})
		})
	}
	if err := checkDecodedPath(path); err != nil {
		return err
	}
	if encoded.MatchString(path) {
		return fmt.Errorf("has a path that is percent-encoded more than %d times", maxEncodings)
	}
	return nil
}

func checkDecodedPath(path string) error {
	forbidden := func(r rune) bool { return r == '\\' || unicode.IsControl(r) }
	if !utf8.ValidString(path) || strings.ContainsFunc(path, forbidden) {
		return errors.New("has a path with a backslash, a control character or invalid UTF-8")
	}
	segments := strings.Split(path, "/")[1:]
	for i, segment := range segments {
		// Some servers strip ";…" from a segment.
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." || (name == "" && i == 0 && len(segments) > 1) {
			return errors.New("has a path that starts with // or has a dot segment")
		}
	}
	return nil
}
