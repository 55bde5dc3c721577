package clienttoken

import "context"

// Cause describes the request or command that changes a user–Customer link or
// ends a session. The audit trail records it. Unknown fields are empty.
//
// A Cause travels in the context because only the audit trail needs it, yet
// sessions, webhook events and the directory would all have to pass it on.
// [Vendor] attaches it only to an enrollment, so a plain vend never pays for it.
type Cause struct {
	Mode           string // the sign-in mode, "admin", "webhook" or "command"
	Operator       string // the name of the admin token, or the operating-system user of a command
	RequestID      string // our own, or the id of Dwolla's webhook event
	ProxyRequestID string // set by a trusted proxy
	ClientIP       string // the caller's address
	UserAgent      string // the caller's User-Agent, already made printable and short
	TraceID        string // of the recorded trace
}

type causeKey struct{}

// NewContext returns ctx with c attached.
func (c Cause) NewContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, causeKey{}, c)
}

// CauseOf returns the Cause attached to ctx, or the zero Cause.
func CauseOf(ctx context.Context) Cause {
	c, _ := ctx.Value(causeKey{}).(Cause)
	return c
}
