package handler_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"regexp"
	"strings"

	"pgregory.net/rapid"
)

// isTheLandingPage fails tb unless a is the page that loads itself again. It has
// nothing of the request.
func (a *answer) isTheLandingPage(tb rapid.TB) {
	tb.Helper()
	if a.body != pageHead("Signing in", a.style())+`<meta http-equiv="refresh" content="0">
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

// style is the style sheet of a page.
func (a *answer) style() string {
	_, rest, _ := strings.Cut(a.body, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	return style
}

// policy is the Content-Security-Policy of an answer. It allows a page its own style.
func (a *answer) policy() string {
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		return "default-src 'none'; frame-ancestors 'none'"
	}
	sum := sha256.Sum256([]byte(a.style()))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; frame-ancestors 'none'"
}

// pageHead is the beginning of every page. It takes the browser's colors, dark or
// light.
func pageHead(title, style string) string {
	return `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>` + title + `</title>
<style>` + style + `</style>
`
}

// page is an error for people.
type page struct {
	heading, message, again, home, reason, requestID string
}

// readPage parses an error page, and fails on unexpected content.
func readPage(tb rapid.TB, a *answer) *page {
	tb.Helper()
	_, title, _ := strings.Cut(a.body, "<title>")
	title, _, _ = strings.Cut(title, "</title>")
	parts := regexp.MustCompile(`^` + regexp.QuoteMeta(pageHead(title, a.style())) + `<main>\n<h1>([A-Za-z -]+)</h1>\n` +
		`<p>([^<>"]+)</p>\n<p class="act"><a class="go" href="([^<>"]+)">Try again</a> <a href="([^<>"]+)">Back to the application</a></p>\n` +
		`<p class="for">Reason: <code>([A-Za-z_]+)</code><br>Request: <code>([^<>"]+)</code></p>\n</main>\n</html>\n$`).FindStringSubmatch(a.body)
	if parts == nil || title != parts[1] {
		tb.Fatalf("the page is %s", a.body)
	}
	return &page{
		heading: parts[1], message: html.UnescapeString(parts[2]), again: html.UnescapeString(parts[3]), home: html.UnescapeString(parts[4]),
		reason: parts[5], requestID: html.UnescapeString(parts[6]),
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
