package handler

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// Operator is the holder of an admin token.
type Operator struct {
	Name  string // in the audit trail
	Token clienttoken.Secret
	Write bool // may change the directory, too
}

// Operators are all who have an admin token. Several tokens can be good at once,
// so that one can be replaced without an interruption.
type Operators []Operator

// find returns the operator with a token. It compares with all tokens in
// constant time, so that the time says nothing about any.
func (all Operators) find(token string) (Operator, bool) {
	given := sha256.Sum256([]byte(token))
	var found Operator
	matches := 0
	for _, o := range all {
		want := sha256.Sum256([]byte(o.Token.Reveal()))
		if subtle.ConstantTimeCompare(want[:], given[:]) == 1 {
			found = o
			matches++
		}
	}
	return found, matches > 0
}

// admin is what the mode of an operator's request is called in the logs.
const admin = "admin"

// operator lets only operators through, and those who may not write no further
// than reading.
func (h *handler) operator(all Operators, next endpoint) http.HandlerFunc {
	return h.serve(func(w http.ResponseWriter, r *http.Request) error {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		found, known := all.find(token)
		if !bearer || !known {
			h.intruded(r)
			return &auth.Rejection{Mode: admin, Reason: "no good admin token", Challenge: "Bearer"}
		}
		rec := recordOf(r)
		rec.mode, rec.operator = admin, found.Name
		if !found.Write && r.Method != http.MethodGet && r.Method != http.MethodHead {
			_, _ = userOf(r) // which notes it for the audit
			return &problem{
				code: clienttoken.ActionNotAllowed, message: "This admin token may only read.", reason: "the admin token is read-only",
			}
		}
		if err := h.auditable(); err != nil {
			return err
		}
		return next(w, r)
	})
}
