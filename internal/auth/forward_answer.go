package auth

import (
	"bytes"
	"fmt"
)

// parse parses an answer with status 200. It returns the user's claims, a *Rejection
// if the answer says that nobody is signed in, or else a *clienttoken.Failure.
func (f *Forward) parse(body []byte) (map[string]any, error) {
	if len(body) > maxForwardBody {
		return nil, f.unavailable(errNoObject)
	}
	if string(bytes.Trim(body, " \t\r\n")) == "null" {
		return nil, f.signedOut("null")
	}
	claims, err := decodeObject(body)
	if err != nil {
		return nil, f.unavailable(errNoObject)
	}
	if f.user.in(claims).value != nil {
		return claims, nil
	}
	if absent := f.noUser(claims); absent != "" {
		return nil, f.signedOut(absent)
	}
	return nil, f.unavailable(fmt.Errorf("its answer has no %s, the member that AUTH_USER_CLAIM names", f.user.name))
}

var errNoObject = fmt.Errorf("the application's answer is not a JSON object of at most %d bytes", maxForwardBody)

// noUser recognizes the answer of a signed-out user, and describes it for the log.
// With a path, the outermost object is null or absent. With a name, the member is
// null; if it is absent, AUTH_USER_CLAIM is more likely wrong. The result is empty for
// every other answer.
func (f *Forward) noUser(claims map[string]any) string {
	first, isObject := f.user.name, len(f.user.path) > 1
	if len(f.user.path) > 0 {
		first = f.user.path[0]
	}
	value, given := claims[first]
	switch {
	case given && value == nil:
		return first + ": null"
	case !given && isObject:
		return "no " + first
	}
	return ""
}

func (f *Forward) signedOut(answer string) *Rejection {
	return &Rejection{Mode: f.Name(), Kind: Refused, Reason: "the application answered 200 with " + answer}
}

// unverified reports whether the application says that the user's address is not
// verified. It need not say anything: it vouches for its users.
func (f *Forward) unverified(claims map[string]any) bool {
	beside := f.user.in(claims).beside
	for _, name := range []string{"email_verified", "emailVerified"} {
		if verified, given := beside[name]; given && !isTrue(verified) {
			return true
		}
	}
	return false
}
