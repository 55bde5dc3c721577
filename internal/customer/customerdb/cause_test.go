package customerdb_test

import (
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

// causeOutlivesItsProcess: a process makes a link and ends before the audit entry. The
// entry of another process has the whole cause, with the trace.
func causeOutlivesItsProcess(t *testing.T, open func() *customerdb.Database) {
	cause := clienttoken.Cause{
		Mode: "webhook", Operator: "olga", RequestID: "event-1", ProxyRequestID: "p", ClientIP: "192.0.2.1", UserAgent: "u",
		TraceID: "0af7651916cd43dd8448eb211c80319c",
	}
	wantError(t, open().Link(cause.NewContext(t.Context()), "ann", customerA), nil) // without an outbox
	var a trail
	other := open()
	drained(t, other, a.of(other))
	if len(a.entries) != 1 || a.entries[0].Cause != cause {
		t.Errorf("the entries are %+v, want one with the cause %+v", a.entries, cause)
	}
}
