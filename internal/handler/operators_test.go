package handler_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/customer"
	"dropgate/internal/handler"
)

func TestReadOnlyAdminTokenChangesNothing(t *testing.T) {
	d := newDesk(t, nil)
	reads := header("Authorization", "Bearer "+readToken)
	for _, path := range []string{"/customers", "/customers/alice"} {
		if a := d.ask(t, http.MethodGet, path, "", reads); a.status != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, a.status, a.body)
		}
	}
	for method, event := range map[string]string{http.MethodPut: "link", http.MethodDelete: "unlink"} {
		a := d.ask(t, method, "/customers/alice", `{"customer":"`+nobodysID+`"}`, reads)
		a.failed(t, http.StatusForbidden, "ActionNotAllowed")
		if a.problem.Message != "This admin token is read-only." {
			t.Errorf("%s: %q", method, a.problem.Message)
		}
		a.audit.has(t, line{"event": event, "mode": "admin", "operator": "auditor", "user": "alice", "outcome": "ActionNotAllowed"})
	}
	if got, err := d.store.Customer(t.Context(), "alice"); got != alicesID || err != nil {
		t.Errorf("alice has %q, error %v", got, err)
	}
}

func TestDirectoryReadsAreAudited(t *testing.T) {
	d := newDesk(t, nil)
	for path, want := range map[string]line{
		"/customers":        {"user": "", "outcome": "read"},
		"/customers?user=x": {"user": "", "outcome": "read"},
		"/customers/alice":  {"user": "alice", "outcome": "read"},
		"/customers/mallet": {"user": "mallet", "outcome": "NotFound"},
	} {
		for _, token := range []struct{ operator, text string }{{"ann", adminToken}, {"auditor", readToken}} {
			a := d.ask(t, http.MethodGet, path, "", header("Authorization", "Bearer "+token.text), header("User-Agent", "curl/8"))
			a.audit.has(t, want)
			a.audit.has(t, line{
				"event": "directory", "mode": "admin", "operator": token.operator, "client_ip": "127.0.0.1", "user_agent": "curl/8",
				"request_id": a.header.Get("X-Request-Id"),
			})
		}
	}
}

func TestDirectoryReadNeedsItsAuditEntry(t *testing.T) {
	sink := &auditSink{to: newLogs()}
	d := newDesk(t, func(c *handler.AdminConfig) { c.Audit = audit.NewTrail(sink, prometheus.NewRegistry()) })
	sink.breaks(errors.New("no space left on device"), nil)
	for _, path := range []string{"/customers", "/customers/alice"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+readToken)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(text), alicesID) {
			t.Errorf("GET %s: %d %s, error %v", path, resp.StatusCode, text, err)
		}
	}
}

func TestBadAdminTokensLeaveFewEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written := newLogs()
		h := newBareAdmin(&auditSink{to: written})
		guess := func(times int) []line {
			mark := written.mark()
			for range times {
				if got := askAdmin(t, h, "/customers", "a wrong token of more than 32 characters"); got.Code != http.StatusUnauthorized {
					t.Fatalf("%d %s", got.Code, got.Body)
				}
			}
			return written.since(mark, "audit")
		}
		if entries := guess(100); len(entries) != 5 {
			t.Errorf("100 bad tokens left %d entries, want 5", len(entries))
		}
		time.Sleep(10 * time.Second) // in the bubble: it takes no time
		entries := guess(3)
		if len(entries) != 1 {
			t.Fatalf("later ones left %d entries, want 1", len(entries))
		}
		entries[0].has(t, line{
			"event": "admin", "outcome": "Unauthenticated", "operator": "", "user": "",
			"reason": "admin: no valid admin token; 95 more since the last entry",
		})
	})
}

// newBareAdmin is the admin listener without a database.
func newBareAdmin(sink audit.Sink) http.Handler {
	return handler.NewAdmin(handler.AdminConfig{
		Ready: func(context.Context) handler.Readiness { return handler.Readiness{} }, Gatherer: prometheus.NewRegistry(),
		Operators: operators, Links: customer.LinkAdmin{}, Audit: audit.NewTrail(sink, prometheus.NewRegistry()), Logger: zerolog.Nop(),
	})
}

func askAdmin(t *testing.T, h http.Handler, path, token string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
