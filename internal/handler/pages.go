package handler

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"

	"dropgate/internal/auth"
)

// The pages have no script. They are constants with gaps: html/template calls methods by
// name, so the linker would keep every method of every library, and the binary would grow
// by a third.
const (
	// pageStyle follows the browser's choice of dark or light colors.
	pageStyle = `:root{color-scheme:light dark;--text:#1c1e21;--soft:#5b616b;--back:#fff;--line:#d5d9df;--act:#0b5cad;--on:#fff}
@media(prefers-color-scheme:dark){:root{--text:#e8eaed;--soft:#a6adb8;--back:#17191c;--line:#3a3f47;--act:#8ab8f5;--on:#10151c}}
body{margin:0;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
main{max-width:32rem;margin:0 auto;padding:12vh 1.25rem 2rem}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25}
a{color:var(--act)}
.act{display:flex;flex-wrap:wrap;gap:.75rem 1.5rem;align-items:center;margin:1.5rem 0 2rem}
.go{padding:.5rem 1rem;border-radius:.375rem;background:var(--act);color:var(--on);text-decoration:none}
.for{padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem;overflow-wrap:anywhere}
`
	pageHead = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>%[1]s</title>
<style>` + pageStyle + `</style>
`
	// landingPage loads its own URL again. That request comes from our own page, so
	// browsers send the Strict cookies that they withhold on the way back from another
	// site (docs/decisions/0021). The page shows nothing of the request.
	landingPage = pageHead + `<meta http-equiv="refresh" content="0">
<main>
<h1>%[1]s</h1>
<p><a href="">Continue</a></p>
</main>
</html>
`
	failedPage = pageHead + `<main>
<h1>%[1]s</h1>
<p>%[2]s</p>
<p class="act"><a class="go" href="%[3]s">Try again</a> <a href="%[4]s">Back to the application</a></p>
<p class="for">Reason: <code>%[5]s</code><br>Request: <code>%[6]s</code></p>
</main>
</html>
`
)

// failPage is fail with an HTML page, or with a redirect to the application's own.
func (h *handler) failPage(w http.ResponseWriter, r *http.Request, err error, returnTo string) {
	p := h.recordError(w, r, err)
	returnTo = cmp.Or(returnTo, h.OIDC.ReturnTo(r))
	reason, id := string(p.code), requestLogOf(r).requestID
	if wrong, ok := errors.AsType[*auth.ProtocolError](err); ok {
		reason = wrong.Code
	}
	if own := h.OIDC.ErrorPage(reason, id, returnTo); own != "" {
		w.Header().Set("Location", own)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	again := h.BasePath + "/auth/login"
	if returnTo != "" {
		again += "?" + url.Values{"return_to": {returnTo}}.Encode()
	}
	h.writePage(w, p.status, failedPage, failedHeading(p.status, reason), p.message, again, h.OIDC.StartPage(), reason, id)
}

// failedHeading is the heading of the page for a failed sign-in.
func failedHeading(status int, reason string) string {
	switch {
	case reason == "access_denied":
		return "Sign-in canceled"
	case reason == "state_expired":
		return "Sign-in expired"
	case status == http.StatusTooManyRequests:
		return "Too many sign-ins"
	case status == http.StatusServiceUnavailable:
		return "Sign-in is temporarily unavailable"
	case status >= http.StatusInternalServerError:
		return "Something went wrong"
	}
	return "Sign-in failed"
}

// writePage fills the gaps of a page. They are texts and attributes in quotes, for
// which html.EscapeString is right. Scripts and style sheets would need more.
func (h *handler) writePage(w http.ResponseWriter, status int, page string, gaps ...string) {
	escaped := make([]any, len(gaps))
	for i, gap := range gaps {
		escaped[i] = html.EscapeString(gap)
	}
	style := sha256.Sum256([]byte(pageStyle))
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(style[:])+"'; frame-ancestors "+h.frameAncestors())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, page, escaped...) // fails only if the browser disconnected
}

// frameAncestors lists the pages that may frame ours.
func (h *handler) frameAncestors() string {
	if !h.Embedded {
		return "'none'"
	}
	return strings.Join(append([]string{"'self'"}, h.AllowedOrigins...), " ")
}
