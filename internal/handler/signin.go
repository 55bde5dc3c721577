package handler

import (
	"errors"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// login is GET /auth/login: it sends the browser to the identity provider.
func (h *handler) login(w http.ResponseWriter, r *http.Request) error {
	login, err := auth.Login{}, recordOf(r).charge.Pay(r.Context(), "")
	if err == nil {
		login, err = h.OIDC.Begin(r)
	}
	if err != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.failPage(w, r, err, login.ReturnTo) // a person looks at it
		return nil
	} else if err != nil {
		return err
	}
	redirect(w, login)
	return nil
}

// callback is GET /auth/callback: the browser comes back from the provider. A
// person looks at what it answers, so errors are pages.
func (h *handler) callback(w http.ResponseWriter, r *http.Request) error {
	rec := recordOf(r)
	rec.mode = h.OIDC.Name()
	login, err := auth.Login{}, rec.charge.Pay(r.Context(), "")
	if err == nil {
		err = h.auditable() // before the code is used up
	}
	if err == nil {
		login, err = h.complete(r)
		rec.user = login.Named
	}
	if err == nil {
		if err = h.accept(r); err != nil {
			h.OIDC.Withdraw(r.Context(), &login)
		}
	}
	if err != nil {
		setCookies(w, login.Cookies)
		h.failPage(w, r, err, login.ReturnTo)
		return nil
	}
	redirect(w, login)
	return nil
}

// complete ends a sign-in. Its address pays for a refused code before the provider
// is asked, and gets that back for any other outcome.
func (h *handler) complete(r *http.Request) (auth.Login, error) {
	addr := recordOf(r).clientIP
	if err := h.callbacks.Enter(addr); err != nil {
		return auth.Login{}, err
	}
	refused := false
	defer func() {
		if !refused {
			h.callbacks.Forgive(addr)
		}
	}()
	login, err := h.OIDC.Complete(r.WithContext(withCause(r)))
	if wrong, ok := errors.AsType[*auth.ProtocolError](err); ok {
		refused = wrong.AfterExchange()
	}
	return login, err
}

func redirect(w http.ResponseWriter, to auth.Login) {
	setCookies(w, to.Cookies)
	w.Header().Set("Location", to.URL)
	w.WriteHeader(http.StatusSeeOther)
}

func setCookies(w http.ResponseWriter, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		http.SetCookie(w, cookie)
	}
}

type logoutResponse struct {
	EndSessionURL string `json:"endSessionUrl,omitempty"`
}

// logout is POST /auth/logout. The session ends here; the browser may go on to
// end the one at the provider.
func (h *handler) logout(w http.ResponseWriter, r *http.Request) error {
	if err := h.fromKnownOrigin(r); err != nil {
		return err
	}
	rec := recordOf(r)
	rec.mode = h.OIDC.Name()
	logout, err := h.OIDC.Logout(r.WithContext(withCause(r)))
	rec.user = logout.User
	setCookies(w, logout.Cookies) // also when the session has ended and its entry was not accepted
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, logoutResponse{logout.EndSessionURL})
}

// backChannelLogout is POST /auth/backchannel-logout, by the provider's server.
func (h *handler) backChannelLogout(w http.ResponseWriter, r *http.Request) error {
	rec := recordOf(r)
	rec.mode = h.OIDC.Name()
	if err := h.notices.Check(rec.clientIP); err != nil {
		return err
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return &problem{code: unsupportedMediaType, message: "The request body has to be application/x-www-form-urlencoded.", reason: "no form"}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return &problem{code: payloadTooLarge, reason: "form larger than 64 KiB"}
		}
		return &problem{code: clienttoken.BadRequest, reason: "no form that can be read"}
	}
	tokens := r.PostForm["logout_token"]
	if len(tokens) != 1 {
		return &problem{code: clienttoken.BadRequest, message: "The form needs one logout_token.", reason: "not one logout_token"}
	}
	ended, err := h.OIDC.BackChannelLogout(withCause(r), rec.clientIP, tokens[0])
	if err != nil {
		h.notices.Note(rec.clientIP)
		return err
	}
	h.Logger.Info().
		Str("request_id", rec.requestID).
		Int("sessions", ended).
		Msg("the identity provider signed a user out")
	w.WriteHeader(http.StatusOK)
	return nil
}

// errorPage is what a person sees when a sign-in fails.
type errorPage struct {
	Message, Reason, RequestID string
	Again                      string // where to sign in
}

func newErrorPage() *template.Template {
	return template.Must(template.New("error").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sign-in failed</title>
<h1>Sign-in failed</h1>
<p>{{.Message}}</p>
<p><a href="{{.Again}}">Try again</a></p>
<p>Reason: <code>{{.Reason}}</code><br>Request: <code>{{.RequestID}}</code></p>
</html>
`))
}

// failPage answers the request with err, as a page.
func (h *handler) failPage(w http.ResponseWriter, r *http.Request, err error, returnTo string) {
	p := h.noted(w, r, err)
	page := errorPage{
		Message:   p.message,
		Reason:    string(p.code),
		RequestID: recordOf(r).requestID,
		Again:     h.BasePath + "/auth/login",
	}
	if wrong, ok := errors.AsType[*auth.ProtocolError](err); ok {
		page.Reason = wrong.Code
	}
	if returnTo != "" {
		page.Again += "?" + url.Values{"return_to": {returnTo}}.Encode()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(p.status)
	_ = h.errorPage.Execute(w, page) // a browser that has gone is in the log already
}
