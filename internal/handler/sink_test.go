package handler_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// auditSink takes the audit lines, until a test breaks it.
type auditSink struct {
	to io.Writer

	mu     sync.Mutex
	broken error // of Append
	fault  error
}

// Append implements audit.Sink.
func (s *auditSink) Append(_ context.Context, line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	_, err := s.to.Write(line)
	return err
}

// Fault implements audit.Sink.
func (s *auditSink) Fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// breaks lets the sink fail from now on: with the second error also for whoever
// asks before.
func (s *auditSink) breaks(appending, asking error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.fault = appending, asking
}

// wantDropped checks that a request of alice's ended in an outage of the sink,
// and that nothing of what it asked for has left.
func (w *world) wantDropped(t *testing.T, a answer) {
	t.Helper()
	a.failed(t, http.StatusServiceUnavailable, "Unavailable")
	if a.header.Get("Retry-After") == "" {
		t.Error("the answer has no Retry-After")
	}
	a.access.has(t, line{"user": alice, "code": "Unavailable"})
	if !strings.Contains(a.access.text("reason"), "audit sink") {
		t.Errorf("the reason is %q", a.access["reason"])
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
		if !strings.Contains(a.access.text("reason"), "instead of") {
			t.Errorf("the access line does not name the refusal: %q", a.access["reason"])
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

func (s *auditSink) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != nil
}
