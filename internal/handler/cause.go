package handler

import (
	"context"
	"net/http"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
)

// changing returns the context of a request that may change a link, once it is
// known who asks: the entry of the change is written with the change.
func changing(r *http.Request) context.Context {
	rec := recordOf(r)
	return clienttoken.Cause{
		Mode:           rec.mode,
		Operator:       rec.operator,
		RequestID:      rec.requestID,
		ProxyRequestID: rec.proxyRequestID,
		ClientIP:       rec.clientIP,
		UserAgent:      audit.Printable(r.UserAgent()),
	}.NewContext(r.Context())
}
