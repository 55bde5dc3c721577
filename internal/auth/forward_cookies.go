package auth

import (
	"net/http"
	"slices"
)

// Limits of the cookies that go back to the browser. Proxies allow few kilobytes of
// headers in a response.
const (
	maxSetCookies     = 8
	maxSetCookieBytes = 6 << 10 // of all together
)

// cookiesFor returns the Set-Cookie headers of the application that go back to the
// browser. Call it only for an answer that names a user. An application deletes the
// cookie of an unknown session, so a late request with a replaced cookie would delete the
// new one. A session may need several cookies, so either all of them go back or none.
func (f *Forward) cookiesFor(headers []string) []string {
	if len(f.config.SetCookies) == 0 {
		return nil
	}
	var kept []string
	size := 0
	for _, header := range headers {
		cookie, err := http.ParseSetCookie(header)
		if err != nil || !slices.Contains(f.config.SetCookies, cookie.Name) {
			continue
		}
		kept = append(kept, header)
		if size += len(header); len(kept) > maxSetCookies || size > maxSetCookieBytes {
			f.dropped.Do(func() {
				f.config.Logger.Warn().Int("most", maxSetCookies).Int("most_bytes", maxSetCookieBytes).
					Msg("the application sets more cookies of AUTH_FORWARD_SET_COOKIE than may go back to the browser: such answers set none")
			})
			return nil
		}
	}
	return kept
}

// OwnsCookie reports whether dropgate itself sets cookies of this name.
func OwnsCookie(name string) bool {
	return cookies{secure: true}.owns(name) || cookies{}.owns(name)
}
