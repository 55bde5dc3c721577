package handler

import (
	"errors"
	"io"
	"net/http"

	"dropgate/internal/clienttoken"
)

// webhook is POST /webhooks/dwolla. The answer says that the webhook is kept,
// and not that anything has come of it: Dwolla waits for ten seconds only
// (https://developers.dwolla.com/docs/webhooks).
func (h *handler) webhook(w http.ResponseWriter, r *http.Request) error {
	if err := h.notices.Check(recordOf(r).clientIP); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return unreadable(err)
	}
	// Two signatures are none: nobody can say which was meant.
	signature := ""
	if given := r.Header["X-Request-Signature-Sha-256"]; len(given) == 1 {
		signature = given[0]
	}
	err = h.Webhooks.Receive(r.Context(), signature, body)
	if refusal, ok := errors.AsType[*clienttoken.Refusal](err); ok {
		h.notices.Note(recordOf(r).clientIP)
		return &problem{code: refusal.Code, message: webhookMessage(refusal.Code), reason: refusal.Reason}
	} else if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func webhookMessage(code clienttoken.Code) string {
	if code == clienttoken.Unauthenticated {
		return "The signature does not match the body."
	}
	return "The body is signed, and is no webhook."
}
