package handler

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"dropgate/internal/auth"
)

// The names of the pages. They have no style and no script, since the
// Content-Security-Policy of every response allows none.
const (
	// landingPage loads its own URL again. That request comes from our own page, so
	// browsers send the Strict cookies that they withhold on the way back from another
	// site (docs/decisions/0021). The page shows nothing of the request.
	landingPage = "landing"
	failedPage  = "failed"
)

func newPages() *template.Template {
	return template.Must(template.New("").Parse(`{{define "head"}}<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{{.}}</title>
{{end}}{{define "landing"}}{{template "head" "Signing in"}}<meta http-equiv="refresh" content="0">
<main>
<h1>Signing in</h1>
<p><a href="">Continue</a></p>
</main>
</html>
{{end}}{{define "failed"}}{{template "head" "Sign-in failed"}}<main>
<h1>Sign-in failed</h1>
<p>{{.Message}}</p>
<p><a href="{{.Again}}">Try again</a></p>
<p>Reason: <code>{{.Reason}}</code><br>Request: <code>{{.RequestID}}</code></p>
</main>
</html>
{{end}}`))
}

// failure is the content of the page for a failed sign-in.
type failure struct {
	Message, Reason, RequestID string
	Again                      string // the URL to sign in again
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
	h.writePage(w, p.status, failedPage, page)
}

func (h *handler) writePage(w http.ResponseWriter, status int, name string, content any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = h.pages.ExecuteTemplate(w, name, content) // fails only if the browser disconnected
}
