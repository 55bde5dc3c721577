package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// tell sends a webhook about alice's Customer.
func (s *service) tell(t *testing.T, id, topic string, created time.Time) {
	t.Helper()
	customer := s.fixture.settings["DWOLLA_BASE_URL"] + "/customers/" + alicesCustomer
	body := fmt.Sprintf(`{"id":%q,"resourceId":%q,"topic":%q,"created":%q,"_links":{"customer":{"href":%q},"resource":{"href":%q}}}`,
		id, alicesCustomer, topic, created.UTC().Format(time.RFC3339Nano), customer, customer)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/webhooks/dwolla", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Request-Signature-Sha-256": {emulator.Sign(webhookSecret, body)}}
	if got := do(t, r); got.status != http.StatusOK {
		t.Errorf("%s: %d %s", topic, got.status, got.body)
	}
}

// webhooked starts a service with webhooks and a caching claim source.
func webhooked(t *testing.T) *service {
	t.Helper()
	return newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "claim", "DATABASE_URL": directories()["SQLite"](t), "CUSTOMER_CACHE": "0s", "DWOLLA_WEBHOOK_SECRET": webhookSecret,
	})
}

func TestUnknownWebhookTopicSuspendsNoCustomer(t *testing.T) {
	s := webhooked(t)
	for n, topic := range []string{
		"customer_suspended_xyz", "customer_verification_pending_review", "customer_address_verification_failed",
		"customer_kba_verification_failed", "customer_somethingnew",
	} {
		for _, status := range []string{"suspended", "verified"} {
			s.fixture.dwolla.SetStatus(alicesCustomer, status)
			s.tell(t, fmt.Sprint(topic, status), topic, time.Now().Add(time.Duration(n)*time.Millisecond))
			want := map[string]int{"suspended": http.StatusForbidden, "verified": http.StatusOK}[status]
			until(t, topic+" "+status, func() bool { return s.vend(t, "alice", readCustomer).status == want })
		}
	}
	shows(t, s, webhookSecret)
	if got := s.admin(t, "/metrics"); strings.Contains(got.body, "xyz") || !strings.Contains(got.body, `dropgate_webhooks_total{outcome="queued",topic="other"}`) {
		t.Error("an unknown topic is a label of its own, or is not counted")
	}
}

func TestOldWebhookStillCounts(t *testing.T) {
	s := webhooked(t)
	s.tell(t, "e1", "customer_suspended", time.Now().Add(-30*24*time.Hour))
	until(t, "the suspension", func() bool { return s.vend(t, "alice", readCustomer).status == http.StatusForbidden })
}
