package handler

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// vend is POST /client-tokens.
func (h *handler) vend(w http.ResponseWriter, r *http.Request) error {
	session, err := h.signedIn(w, r)
	if err != nil {
		return err
	}
	if err := h.checkAuditSink(); err != nil {
		return err
	}
	request, err := h.readClientTokenRequest(w, r)
	if err != nil {
		return err
	}
	vended, err := h.Vendor.Vend(r.Context(), session.User, request, requestLogOf(r).cause)
	if err == nil && session.Over() { // it ended while Dwolla responded, so the token is dropped
		vended.Token, err = clienttoken.Token{}, session.Ended()
	}
	requestLogOf(r).noteVended(vended)
	if err != nil {
		return err
	}
	return h.handOut(w, r, vended.Token)
}

// handOut writes the token, unless the audit sink refuses its entry.
func (h *handler) handOut(w http.ResponseWriter, r *http.Request, token clienttoken.Token) error {
	if err := h.writeEntry(r); err != nil {
		return err
	}
	body, err := jsontext.AppendQuote([]byte(`{"token":`), token.Reveal())
	if err != nil {
		return err //nolint:wrapcheck // never: a decoded token is valid UTF-8
	}
	writeBody(w, http.StatusOK, append(body, '}'))
	return nil
}

// signedIn returns the session of the request. It charges the rate limits first,
// and the address even if the credentials are invalid. If the address's limit is
// known to be used up, it fails before it checks any credentials. Whatever becomes of
// the request, the browser gets the cookies that the application has replaced.
func (h *handler) signedIn(w http.ResponseWriter, r *http.Request) (auth.Session, error) {
	record := requestLogOf(r)
	if err := record.charge.Check(); err != nil {
		return auth.Session{}, err
	}
	session, err := h.authenticate(r, &record.charge)
	record.mode, record.user = session.Mode, session.User.ID
	for _, cookie := range session.SetCookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	if err := record.charge.Pay(r.Context(), session.User.ID); err != nil {
		return auth.Session{}, err
	}
	if err != nil {
		return auth.Session{}, err
	}
	if session.ByCookie {
		if err := h.requireOrigin(r); err != nil {
			return auth.Session{}, err
		}
	}
	return session, nil
}
