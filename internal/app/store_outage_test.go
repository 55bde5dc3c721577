package app_test

import (
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
)

// tellSuspended sends one webhook, always the same, as Dwolla does.
func (s *service) tellSuspended(t *testing.T, secret string) answer {
	t.Helper()
	body := `{"id":"event-1","resourceId":"` + alicesCustomer + `","topic":"customer_suspended","timestamp":"2999-01-01T00:00:00.000Z",` +
		`"created":"2999-01-01T00:00:00.000Z","_links":{"customer":{"href":"` + s.fixture.settings["DWOLLA_BASE_URL"] + `/customers/` + alicesCustomer + `"}}}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/webhooks/dwolla", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Request-Signature-Sha-256": {emulator.Sign(secret, body)}}
	return do(t, r)
}

func TestServiceWaitsForPostgreSQLAtStart(t *testing.T) {
	w, direct := newFixture(t), postgresURL(t)
	g, at := tcpproxy.Before(t, withPassword(t, direct))
	g.Stop()
	s := w.start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": at, "CUSTOMER_CACHE": "0s", "DWOLLA_WEBHOOK_SECRET": webhookSecret,
	})
	if got := s.admin(t, "/livez"); got.status != http.StatusOK {
		t.Errorf("livez: %d", got.status)
	}
	got := s.admin(t, "/readyz")
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, `"reason":"database: `) {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
	answers(t, "a user", s.vend(t, "carol", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	answers(t, "a webhook", s.tellSuspended(t, webhookSecret), http.StatusServiceUnavailable, "Unavailable")
	shows(t, s, databasePassword, "postgres://")

	g.Start()
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	answers(t, "afterwards", s.vend(t, "carol", readCustomer), http.StatusConflict, "CustomerNotLinked")
	newTools(t, direct).good("link", "carol", alicesCustomer)
	answers(t, "linked", s.vend(t, "carol", readCustomer), http.StatusOK, "")

	g.Stop()
	answers(t, "down again", s.vend(t, "carol", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	if got := s.admin(t, "/readyz"); got.status != http.StatusServiceUnavailable {
		t.Errorf("readyz, down again: %d %s", got.status, got.body)
	}
	shows(t, s, databasePassword, "postgres://")
	g.Start()
	until(t, "a token", func() bool { return s.vend(t, "carol", readCustomer).status == http.StatusOK })
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	if got := s.tellSuspended(t, webhookSecret); got.status != http.StatusOK {
		t.Errorf("the webhook, sent again: %d %s", got.status, got.body)
	}
	until(t, "the suspension", func() bool { return s.vend(t, "carol", readCustomer).status == http.StatusForbidden })
}

func TestNewerSchemaFailsStart(t *testing.T) {
	w, at := newFixture(t), postgresURL(t)
	newTools(t, at).good("link", "carol", alicesCustomer)
	execute(t, at, `INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (9999, true)`)
	why := w.refuses(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": withPassword(t, at)})
	if !strings.HasPrefix(why, "DATABASE_URL: ") || !strings.Contains(why, "run a newer binary") || strings.Contains(why, databasePassword) {
		t.Errorf("the service: %s", why)
	}
	if got := newTools(t, at).run("show", "carol"); got.fault == nil || !strings.Contains(got.fault.Error(), "run a newer binary") {
		t.Errorf("the tools: %+v", got)
	}
}

// TestNewerSchemaIsRefusedAfterLateConnect starts without the database, whose
// schema then is newer. The log says so, and the service does not use it.
func TestNewerSchemaIsRefusedAfterLateConnect(t *testing.T) {
	w, direct := newFixture(t), postgresURL(t)
	newTools(t, direct).good("link", "carol", alicesCustomer)
	execute(t, direct, `INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (9999, true)`)
	g, at := tcpproxy.Before(t, direct)
	g.Stop()
	s := w.start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": at})
	g.Start()
	until(t, "the reason in the log", func() bool { return strings.Contains(s.logs.String(), "run a newer binary") })
	if got := s.admin(t, "/readyz"); got.status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
}

func TestStatusIsReadFromDwollaWithoutWebhooks(t *testing.T) {
	w := newFixture(t)
	settings := map[string]string{"CUSTOMER_STATUS_INTERVAL": "10s"}
	s := w.start(t, settings)
	w.dwolla.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: http.StatusServiceUnavailable})
	answers(t, "Dwolla does not say", s.vend(t, "alice", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	w.dwolla.ClearFaults()
	for status, want := range map[string]int{"suspended": http.StatusForbidden, "deactivated": http.StatusForbidden, "verified": http.StatusOK} {
		w.dwolla.SetStatus(alicesCustomer, status)
		code := map[int]string{http.StatusForbidden: "CustomerInactive"}[want]
		s = w.start(t, settings) // the interval is longer than a test may be
		before := w.dwolla.Calls(emulator.OpReadCustomer)
		for range 3 {
			answers(t, status, s.vend(t, "alice", readCustomer), want, code)
		}
		if calls := w.dwolla.Calls(emulator.OpReadCustomer) - before; calls != 1 {
			t.Errorf("%s: Dwolla was asked %d times within the interval, want once", status, calls)
		}
	}
}

func TestWebhooksKeepStatusWithClaimSource(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			settings := map[string]string{"DATABASE_URL": database(t), "DWOLLA_WEBHOOK_SECRET": webhookSecret, "CUSTOMER_CACHE": "5m"}
			s := w.start(t, settings)
			w.dwolla.SendWebhooks("http://" + s.PublicAddr() + "/webhooks/dwolla")
			answers(t, "before", s.vend(t, "alice", readCustomer), http.StatusOK, "")
			for _, change := range []struct {
				status string
				want   int
			}{{"suspended", http.StatusForbidden}, {"verified", http.StatusOK}, {"deactivated", http.StatusForbidden}} {
				w.dwolla.SetStatus(alicesCustomer, change.status)
				until(t, change.status, func() bool { return s.vend(t, "alice", readCustomer).status == change.want })
			}
			s.stop()
			if err := <-s.done; err != nil {
				t.Fatal(err)
			}
			answers(t, "after a restart", w.start(t, settings).vend(t, "alice", readCustomer), http.StatusForbidden, "CustomerInactive")
		})
	}
}

func TestWebhookWithWrongSecretChangesNothing(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, map[string]string{"DATABASE_URL": directories()["SQLite"](t), "DWOLLA_WEBHOOK_SECRET": webhookSecret, "CUSTOMER_CACHE": "0s"})
	answers(t, "forged", s.tellSuspended(t, "the-very-wrong-secret"), http.StatusUnauthorized, "Unauthenticated")
	if got := s.tellSuspended(t, webhookSecret); got.status != http.StatusOK {
		t.Errorf("signed: %d %s: the forged one has used the event up", got.status, got.body)
	}
	until(t, "the suspension", func() bool { return s.vend(t, "alice", readCustomer).status == http.StatusForbidden })
}
