package clienttoken

import "context"

// Cause says who changes whose Customer is whose, for the audit trail. An empty
// member is not known.
type Cause struct {
	Mode           string // the sign-in mode, "admin", "webhook" or "command"
	Operator       string // the name of the admin token, or the operating-system user of a command
	RequestID      string // of our own; for a webhook, the id of Dwolla's event
	ProxyRequestID string // of a trusted proxy
	ClientIP       string // the caller's address
	UserAgent      string // the caller's User-Agent, shortened by the caller of this package
}

type causeKey struct{}

// NewContext returns ctx with the cause of every change that is made with it.
func (c Cause) NewContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, causeKey{}, c)
}

// CauseOf returns the cause of changes that are made with ctx. The zero Cause
// stands for a context without one.
func CauseOf(ctx context.Context) Cause {
	c, _ := ctx.Value(causeKey{}).(Cause)
	return c
}
