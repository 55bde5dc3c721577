package handler

import (
	"errors"
	"io"
	"net/http"

	"dropgate/internal/clienttoken"
)

// webhook is POST /webhooks/dwolla. It responds once the event is stored, not once
// it is processed: Dwolla waits for ten seconds only
// (https://developers.dwolla.com/docs/webhooks).
func (h *handler) webhook(w http.ResponseWriter, r *http.Request) error {
	if err := h.notices.Check(requestLogOf(r).clientIP); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return readProblem(err)
	}
	// Two signatures are ambiguous, so they count as none.
	signature := ""
	if given := r.Header["X-Request-Signature-Sha-256"]; len(given) == 1 {
		signature = given[0]
	}
	err = h.Webhooks.Receive(r.Context(), signature, body)
	if refusal, ok := errors.AsType[*clienttoken.Refusal](err); ok {
		h.notices.Note(requestLogOf(r).clientIP)
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
	return "The signature is valid, but the body is not a webhook event."
}
