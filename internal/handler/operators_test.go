package handler_test

import (
	"net/http"
	"testing"
)

func TestAReadOnlyTokenChangesNothing(t *testing.T) {
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
		if a.problem.Message != "This admin token may only read." {
			t.Errorf("%s: %q", method, a.problem.Message)
		}
		a.audit.has(t, line{"event": event, "mode": "admin", "operator": "auditor", "user": "alice", "outcome": "ActionNotAllowed"})
	}
	if got, err := d.store.Customer(t.Context(), "alice"); got != alicesID || err != nil {
		t.Errorf("alice has %q, error %v", got, err)
	}
}
