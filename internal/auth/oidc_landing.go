package auth

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"time"

	"dropgate/internal/auth/session"
)

// loginMemory is how long a browser keeps the record of a sign-in. A sign-in that
// took longer than loginLife fails, but its return_to is still known.
const loginMemory = time.Hour

// CheckReturnTo fails unless a sign-in on this origin may lead to to: a path, or a
// URL of the origin or of an allowed one.
func CheckReturnTo(own string, allowed []string, to string) error {
	_, err := returnTargets{own: own, allowed: allowed}.url(to)
	return err
}

// StartPage returns the URL of the application's start page.
func (o *OIDC) StartPage() string { return o.targets.start() }

// ErrorPage returns the URL of the application's own page for a failed sign-in, with
// these parameters. It is empty without such a page.
func (o *OIDC) ErrorPage(code, requestID, returnTo string) string {
	to, err := o.targets.url(o.config.ErrorURL)
	if o.config.ErrorURL == "" || err != nil {
		return ""
	}
	query := url.Values{"error": {code}, "request_id": {requestID}}
	if returnTo != "" {
		query.Set("return_to", returnTo)
	}
	return to + "?" + query.Encode()
}

// ReturnTo returns the return_to that a request to /auth/login names, or that of the
// sign-in whose callback the request is. It is empty if unknown.
func (o *OIDC) ReturnTo(r *http.Request) string {
	query := r.URL.Query()
	state := query.Get("state")
	if state == "" {
		return o.targets.choose(query["return_to"]...).returnTo
	}
	record, _ := o.pendingLogin(r, state)
	return o.targets.choose(record.ReturnTo).returnTo
}

// repeated returns the login of a callback that has done its work before, such as by
// the back button. It leads on if the browser has a good session. It starts nothing.
func (o *OIDC) repeated(r *http.Request, login Login, err error) (Login, bool) {
	wrong, ok := errors.AsType[*ProtocolError](err)
	if !ok || wrong.Code != "state_unknown" && wrong.Code != "state_used" {
		return Login{}, false
	}
	key, err := o.cookies.session(r)
	if err != nil {
		return Login{}, false
	}
	if _, err := o.config.Sessions.Find(r.Context(), key, session.Peek, nil); err != nil {
		return Login{}, false // the page for the error is better than none in an outage, too
	}
	return Login{URL: cmp.Or(login.URL, o.targets.start()), Cookies: login.Cookies, ReturnTo: login.ReturnTo, Repeated: true}, true
}
