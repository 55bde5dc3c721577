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
	Name  string // for the audit trail
	Token clienttoken.Secret
	Write bool // may change the directory
}

// Operators are the holders of admin tokens. Several tokens can be valid at once,
// so that one can be replaced without an interruption.
type Operators []Operator

// find returns the operator with that token. It compares all tokens in constant
// time, so that the duration reveals nothing about them.
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

// adminMode is the mode of an operator's request in the logs.
const adminMode = "admin"

// requireOperator refuses callers without an admin token, and changes by operators
// who may only read.
func (h *handler) requireOperator(all func() Operators, next endpoint) http.HandlerFunc {
	return h.serve(func(w http.ResponseWriter, r *http.Request) error {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		found, known := all().find(token)
		if !bearer || !known {
			h.noteBadAdminToken(r)
			return &auth.Rejection{Mode: adminMode, Kind: auth.Invalid, Reason: "no valid admin token", Challenge: "Bearer"}
		}
		log := requestLogOf(r)
		log.mode, log.operator = adminMode, found.Name
		if !found.Write && r.Method != http.MethodGet && r.Method != http.MethodHead {
			noteUser(r)
			return &problem{
				code: clienttoken.ActionNotAllowed, message: "This admin token is read-only.", reason: "the admin token is read-only",
			}
		}
		if err := h.checkAuditSink(); err != nil {
			return err
		}
		return next(w, r)
	})
}

// noteUser notes the user that a refused request names, for its audit entry.
func noteUser(r *http.Request) {
	if _, err := validPathUser(r); err != nil {
		_, _ = validQueryUser(r)
	}
}
