package handler_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// wantDropped fails t unless alice's request ended in an outage of the sink
// without handing anything out.
func (w *world) wantDropped(t *testing.T, a answer) {
	t.Helper()
	a.failed(t, http.StatusServiceUnavailable, "Unavailable")
	if a.header.Get("Retry-After") == "" {
		t.Error("the answer has no Retry-After")
	}
	a.access.has(t, accessLine{User: alice, Code: "Unavailable"})
	if !strings.Contains(a.access.Reason, "audit sink") {
		t.Errorf("the reason is %q", a.access.Reason)
	}
	for _, vended := range w.dwolla.ClientTokens() {
		if strings.Contains(a.body, vended.Token) {
			t.Error("the token has left")
		}
	}
}

func TestTokenLeavesOnlyAfterItsAuditEntry(t *testing.T) {
	w := newWorld(t)
	const content = `{"action":"customer.read"}`
	w.sink.breaks(errors.New("no space left on device"), nil)
	a := w.vend(t, alice, content)
	w.wantDropped(t, a)
	if len(a.sent) != 1 {
		t.Errorf("Dwolla got %q, so nothing was tried", a.sent)
	}
	w.sink.breaks(nil, nil)
	a = w.vend(t, alice, content)
	a.vended(t, w.filled(sentRead))
	if !strings.Contains(w.metricsText(), "dropgate_audit_failures_total 1\n") {
		t.Error("the failure is not counted")
	}
}

func TestBrokenSinkStopsCallsToDwolla(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("the output is stuck")
	w.sink.breaks(broken, broken)
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	w.wantDropped(t, a)
	if a.calls != 0 {
		t.Errorf("Dwolla was called %d times", a.calls)
	}
}

func TestUnauditedRefusalIsAnOutage(t *testing.T) {
	w := newWorld(t)
	w.sink.breaks(errors.New("no space left on device"), nil)
	for _, content := range []string{`{"action":"customer.transfers.send"}`, `{`, `{"action":"customer.read","_links":{"customer":{"href":"` + sandboxRoot + "/customers/" + bobsID + `"}}}`} {
		a := w.vend(t, alice, content)
		w.wantDropped(t, a)
		if !strings.Contains(a.access.Reason, "instead of") {
			t.Errorf("the access line does not name the refusal: %q", a.access.Reason)
		}
	}
}

func TestBrokenSinkDoesNotAffectUnknownUsers(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("no space left on device")
	w.sink.breaks(broken, broken)
	a := w.vend(t, nobody, `{"action":"customer.read"}`)
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
}

func TestAuditEntryHasTheUserAgent(t *testing.T) {
	w := newWorld(t)
	a := w.vend(t, alice, `{"action":"customer.read"}`, header("User-Agent", "Mozilla/5.0 \u009b"))
	a.audit.has(t, line{"user_agent": `Mozilla/5.0 \u009b`, "client_ip": "127.0.0.1"})
}
