package app_test

import (
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// series returns the names of all series, without values.
func (s *service) series(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for line := range strings.Lines(s.admin(t, "/metrics").body) {
		if name, _, ok := strings.Cut(line, "} "); ok && strings.HasPrefix(line, "dropgate_") {
			found[name+"}"] = true
		}
	}
	return found
}

// TestNothingThatHappensAddsASeries: a series that appears with its first error has no
// increase for Prometheus.
func TestNothingThatHappensAddsASeries(t *testing.T) {
	s := enrollingWith(t, directories()["SQLite"](t), 1, map[string]string{"ADMIN_TOKEN": adminToken})
	replica := s.replicas[0]
	before := replica.series(t)
	if len(before) < 300 {
		t.Fatalf("%d series at the start", len(before))
	}
	s.subscribe(t)
	carol, dave := s.browser(t), s.browser(t)
	wants(t, "not signed in", carol.vend(), "401 ")
	carol.signInAs("carol")
	dave.signInAs("mallory")
	wants(t, "no Customer", carol.vend(), "409 ")
	href := carol.createCustomer(carol.session().CorrelationID)
	until(t, "the link by the webhook", func() bool { return carol.session().Customer != nil })
	wants(t, "another user's", dave.send(http.MethodPost, "/client-tokens", reading(href)), "403 ")
	wants(t, "unknown action", carol.send(http.MethodPost, "/client-tokens", `{"action":"x"}`), "403 ")
	wants(t, "not JSON", carol.send(http.MethodPost, "/client-tokens", `x`), "400 ")
	wants(t, "unknown route", carol.send(http.MethodPost, "/nothing", `x`), "404 ")
	for _, fault := range []emulator.Fault{{Status: http.StatusBadGateway, Times: 2}, {Status: http.StatusForbidden, Times: 1}, {Status: http.StatusTooManyRequests, Times: 1}} {
		s.fixture.dwolla.InjectFault(emulator.OpCreateClientToken, fault)
		wants(t, "a fault of Dwolla", carol.vend(), "50")
	}
	replica.operate(t, adminToken, http.MethodDelete, "/customers/carol", "")
	dave.logout()
	until(t, "a measured queue", func() bool { return replica.metric(t, "dropgate_webhook_queue_depth") == 0 })
	for name := range replica.series(t) {
		if !before[name] {
			t.Errorf("%s is new", name)
		}
	}
}
