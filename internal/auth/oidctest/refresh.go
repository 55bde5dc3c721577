package oidctest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// LoadsAgain reports whether a page loads its own URL again at once, as the page at
// the end of a sign-in does.
func LoadsAgain(page string) bool {
	return strings.Contains(page, `<meta http-equiv="refresh" content="0">`)
}

// Refreshing returns a transport for a browser. It turns a page that loads itself
// again into a redirect to its URL, which an http.Client follows.
func Refreshing(next http.RoundTripper) http.RoundTripper { return refreshing{next} }

type refreshing struct{ next http.RoundTripper }

// RoundTrip sends the request.
func (t refreshing) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return resp, err //nolint:wrapcheck // the transport's own
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err //nolint:wrapcheck // likewise
	}
	resp.Body = io.NopCloser(bytes.NewReader(page))
	if LoadsAgain(string(page)) {
		resp.StatusCode, resp.Status = http.StatusSeeOther, "303 See Other"
		resp.Header.Set("Location", "#") // the same URL, whose query stays out of this header
	}
	return resp, nil
}
