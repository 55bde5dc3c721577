package handler

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"

	"dropgate/internal/auth"
)

// The pages have no style and no script, since the Content-Security-Policy of every
// response allows none. They are constants with gaps: html/template calls methods by
// name, so the linker would keep every method of every library, and the binary would grow
// by a third.
const (
	pageHead = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>%[1]s</title>
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
<p><a href="%[3]s">Try again</a></p>
<p>Reason: <code>%[4]s</code><br>Request: <code>%[5]s</code></p>
</main>
</html>
`
)

// failure is the content of the page for a failed sign-in.
type failure struct {
	Message, Reason, RequestID string
	Again                      string // the URL to sign in again, which starts with a slash
}

// failPage is fail with an HTML page.
func (h *handler) failPage(w http.ResponseWriter, r *http.Request, err error, returnTo string) {
	p := h.recordError(w, r, err)
	page := failure{
		Message:   p.message,
		Reason:    string(p.code),
		RequestID: requestLogOf(r).requestID,
		Again:     h.BasePath + "/auth/login",
	}
	if wrong, ok := errors.AsType[*auth.ProtocolError](err); ok {
		page.Reason = wrong.Code
	}
	if returnTo != "" {
		page.Again += "?" + url.Values{"return_to": {returnTo}}.Encode()
	}
	writePage(w, p.status, failedPage, "Sign-in failed", page.Message, page.Again, page.Reason, page.RequestID)
}

// writePage fills the gaps of a page. They are texts and attributes in quotes, for
// which html.EscapeString is right. Scripts and style sheets would need more.
func writePage(w http.ResponseWriter, status int, page string, gaps ...string) {
	escaped := make([]any, len(gaps))
	for i, gap := range gaps {
		escaped[i] = html.EscapeString(gap)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, page, escaped...) // fails only if the browser disconnected
}
