package handler

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// login is GET /auth/login. It redirects the browser to the identity provider.
func (h *handler) login(w http.ResponseWriter, r *http.Request) error {
	login, err := auth.Login{}, requestLogOf(r).charge.Pay(r.Context(), "")
	if err == nil {
		login, err = h.OIDC.Begin(r)
	}
	requestLogOf(r).reason = login.Ignored
	if err != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.failPage(w, r, err, login.ReturnTo) // a person sees the response
		return nil
	} else if err != nil {
		return err
	}
	redirect(w, login)
	return nil
}

// callback is GET /auth/callback: the browser returns from the provider, and loads
// the URL again. A person sees the response, so errors are pages.
func (h *handler) callback(w http.ResponseWriter, r *http.Request) error {
	log := requestLogOf(r)
	log.mode = h.OIDC.Name()
	login, err := auth.Login{}, log.charge.Pay(r.Context(), "")
	if err == nil {
		err = h.checkAuditSink() // before the code is used up
	}
	if err == nil {
		login, err = h.completeSignIn(r)
		log.user, log.reason = login.Named, login.Ignored
	}
	if err == nil && login.LoadAgain {
		setCookies(w, login.Cookies)
		h.writePage(w, http.StatusOK, landingPage, "Signing in")
		return nil
	}
	if err == nil && !login.Repeated {
		if err = h.writeEntry(r); err != nil {
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

// completeSignIn ends a sign-in. It charges the address for a refused code before it
// asks the provider, and gives the charge back for any other outcome.
func (h *handler) completeSignIn(r *http.Request) (auth.Login, error) {
	addr := requestLogOf(r).clientIP
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
	SessionsEnded *int   `json:"sessionsEnded,omitempty"` // only of everywhere=true
}

// logout is POST /auth/logout. It ends the session. The browser may then end the
// session at the provider.
func (h *handler) logout(w http.ResponseWriter, r *http.Request) error {
	if err := h.requireOrigin(r); err != nil {
		return err
	}
	log := requestLogOf(r)
	log.mode = h.OIDC.Name()
	everywhere, err := everywhereOf(r)
	if err != nil {
		return err
	}
	end := h.OIDC.Logout
	if everywhere {
		end = h.OIDC.LogoutEverywhere
	}
	logout, err := end(r.WithContext(withCause(r)))
	log.user = logout.User
	setCookies(w, logout.Cookies) // even if the session ended but its audit entry failed
	if err != nil {
		return err
	}
	answer := logoutResponse{EndSessionURL: logout.EndSessionURL}
	if everywhere {
		answer.SessionsEnded = &logout.Ended
	}
	return writeJSON(w, http.StatusOK, answer)
}

// everywhereOf reports whether the request asks for the end of all sessions. Any other
// value is an error: its sender may believe that all sessions have ended.
func everywhereOf(r *http.Request) (bool, error) {
	switch given := r.URL.Query()["everywhere"]; {
	case len(given) == 0:
		return false, nil
	case len(given) == 1 && given[0] == "true":
		return true, nil
	}
	return false, &problem{code: clienttoken.BadRequest, message: "everywhere can only be true.", reason: "everywhere is not true"}
}

// backChannelLogout is POST /auth/backchannel-logout, called by the provider.
func (h *handler) backChannelLogout(w http.ResponseWriter, r *http.Request) error {
	log := requestLogOf(r)
	log.mode = h.OIDC.Name()
	if err := h.notices.Check(log.clientIP); err != nil {
		return err
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return &problem{code: unsupportedMediaType, message: "The request body must be application/x-www-form-urlencoded.", reason: "not a form"}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return &problem{code: payloadTooLarge, reason: "form larger than 64 KiB"}
		}
		return &problem{code: clienttoken.BadRequest, reason: "unreadable form"}
	}
	tokens := r.PostForm["logout_token"]
	if len(tokens) != 1 {
		return &problem{code: clienttoken.BadRequest, message: "The form must have exactly one logout_token.", reason: "not exactly one logout_token"}
	}
	ended, err := h.OIDC.BackChannelLogout(withCause(r), log.clientIP, tokens[0])
	if err != nil {
		h.notices.Note(log.clientIP)
		return err
	}
	h.Logger.Info().
		Str("request_id", log.requestID).
		Int("sessions", ended).
		Msg("the identity provider signed a user out")
	w.WriteHeader(http.StatusOK)
	return nil
}
