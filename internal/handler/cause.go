package handler

import (
	"context"
	"net/http"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
)

// cause returns a function that describes the request for the audit trail. Call
// it once the mode and the operator are known.
func cause(r *http.Request) func() clienttoken.Cause {
	return func() clienttoken.Cause {
		rec := recordOf(r)
		return clienttoken.Cause{
			Mode:           rec.mode,
			Operator:       rec.operator,
			RequestID:      rec.requestID,
			ProxyRequestID: rec.proxyRequestID,
			ClientIP:       rec.clientIP,
			UserAgent:      audit.Printable(r.UserAgent()),
		}
	}
}

// withCause returns the context for a change of a link or a session: the audit
// entry of the change is written with the change.
func withCause(r *http.Request) context.Context { return cause(r)().NewContext(r.Context()) }
