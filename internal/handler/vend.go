package handler

import (
	"net/http"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

type clientTokenResponse struct {
	Token string `json:"token"`
}

// vend is POST /client-tokens.
func (h *handler) vend(w http.ResponseWriter, r *http.Request) error {
	session, err := h.signedIn(r)
	if err != nil {
		return err
	}
	if err := h.auditable(); err != nil {
		return err
	}
	request, err := h.clientTokenRequest(w, r)
	if err != nil {
		return err
	}
	vended, err := h.Vendor.Vend(r.Context(), session.User, request, cause(r))
	if err == nil && session.Over() { // while Dwolla answered: the token is dropped
		vended.Token, err = clienttoken.Token{}, session.Ended()
	}
	recordOf(r).vended(vended)
	if err != nil {
		return err
	}
	if err := h.accept(r); err != nil { // the token is dropped
		return err
	}
	return writeJSON(w, http.StatusOK, clientTokenResponse{Token: vended.Token.Reveal()})
}

// signedIn returns the session of the request. What the request owes to the rate
// limits is taken before anything else is done for it: from its address also
// when nobody is signed in. An address that is known to have nothing left is
// refused before its credentials are looked at.
func (h *handler) signedIn(r *http.Request) (auth.Session, error) {
	record := recordOf(r)
	if err := record.charge.Check(); err != nil {
		return auth.Session{}, err
	}
	session, err := h.Auth.Authenticate(r, &record.charge)
	record.mode, record.user = session.Mode, session.User.ID
	if err := record.charge.Pay(r.Context(), session.User.ID); err != nil {
		return auth.Session{}, err
	}
	if err != nil {
		return auth.Session{}, err
	}
	if session.ByCookie {
		if err := h.fromKnownOrigin(r); err != nil {
			return auth.Session{}, err
		}
	}
	return session, nil
}
