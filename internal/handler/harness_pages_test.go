package handler_test

import (
	"html"
	"net/http"
	"regexp"

	"pgregory.net/rapid"
)

// isTheLandingPage fails tb unless a is the page that loads itself again. It has
// nothing of the request.
func (a *answer) isTheLandingPage(tb rapid.TB) {
	tb.Helper()
	if a.body != pageHead("Signing in")+`<meta http-equiv="refresh" content="0">
<main>
<h1>Signing in</h1>
<p><a href="">Continue</a></p>
</main>
</html>
` {
		tb.Errorf("the page is %s", a.body)
	}
	if got := a.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		tb.Errorf("the page is of type %q", got)
	}
}

// pageHead is the beginning of every page. It takes the browser's colors, dark or
// light.
func pageHead(title string) string {
	return `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>` + title + `</title>
`
}

// page is an error for people.
type page struct {
	message, again, reason, requestID string
}

// readPage parses an error page, and fails on unexpected content.
func readPage(tb rapid.TB, a *answer) *page {
	tb.Helper()
	parts := regexp.MustCompile(`^` + regexp.QuoteMeta(pageHead("Sign-in failed")) + `<main>\n<h1>Sign-in failed</h1>\n` +
		`<p>([^<>"]+)</p>\n<p><a href="([^<>"]+)">Try again</a></p>\n` +
		`<p>Reason: <code>([A-Za-z_]+)</code><br>Request: <code>([^<>"]+)</code></p>\n</main>\n</html>\n$`).FindStringSubmatch(a.body)
	if parts == nil {
		tb.Fatalf("the page is %s", a.body)
	}
	return &page{
		message: html.UnescapeString(parts[1]), again: html.UnescapeString(parts[2]),
		reason: parts[3], requestID: html.UnescapeString(parts[4]),
	}
}

// hasTheShapeOfAPage checks the rules for every page.
func (a *answer) hasTheShapeOfAPage(tb rapid.TB) {
	tb.Helper()
	if got := a.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		tb.Errorf("the page is of type %q", got)
	}
	if id := a.header.Get("X-Request-Id"); a.page.requestID != id {
		tb.Errorf("the page shows the request id %q, X-Request-Id is %q", a.page.requestID, id)
	}
	if a.access.Reason == "" || a.access.Code == "" {
		tb.Errorf("the log does not tell why %d was answered", a.status)
	}
	if (a.header.Get("Retry-After") != "") != (a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests) {
		tb.Errorf("%d with Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
}

// shows fails tb unless a is a page with this reason.
func (a *answer) shows(tb rapid.TB, status int, reason string) {
	tb.Helper()
	if a.page == nil || a.status != status || a.page.reason != reason {
		tb.Fatalf("answer %d (%s), want the page %d %s", a.status, a.access.Reason, status, reason)
	}
}
