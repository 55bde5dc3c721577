package app_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// TestSessionEndDuringVendDropsToken, however it ends here.
func TestSessionEndDuringVendDropsToken(t *testing.T) {
	for way, c := range map[string]struct {
		happens func(t *testing.T, s *site, b browser)
		want    string
	}{
		"by the provider": {func(t *testing.T, s *site, _ browser) {
			t.Helper()
			if err := s.fixture.provider.EndUser(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		}, "401 "},
		"another sign-in of the browser":            {func(t *testing.T, s *site, b browser) { t.Helper(); s.thief(t, b).signIn() }, "401 "},
		"a sign-in of somebody else in the browser": {func(t *testing.T, s *site, b browser) { t.Helper(); s.thief(t, b).signInAs("carol") }, "401 "},
		"as the oldest of too many": {func(t *testing.T, s *site, _ browser) {
			t.Helper()
			for range 32 {
				s.browser(t).signIn()
			}
		}, "401 "},
		"another browser's logout": {func(t *testing.T, s *site, _ browser) {
			t.Helper()
			other := s.browser(t)
			other.signIn()
			other.logout()
		}, "200 "},
	} {
		for _, store := range []string{"memory", "redis"} {
			t.Run(way+", "+store, func(t *testing.T) {
				changes := map[string]string{"SESSION_STORE": store, "RATE_LIMIT_IP": "off", "RATE_LIMIT_USER": "off"}
				if store == "redis" {
					changes["REDIS_URL"] = redisURL(t)
				}
				site := newSite(t, 1, changes)
				b := site.browser(t)
				b.signIn()
				got := site.fixture.meanwhile(t, func() answer { return answer{body: b.vend()} }, func() { c.happens(t, site, b) })
				wants(t, way, got.body, c.want)
				site.replicas[0].hasOneOutcome(t, map[string]string{"200 ": "vended", "401 ": "Unauthenticated"}[c.want])
			})
		}
	}
}

// hasOneOutcome fails the test unless the audit has one entry about client tokens.
func (s *service) hasOneOutcome(t *testing.T, outcome string) {
	t.Helper()
	all := s.outcomes(t, "vended") + s.outcomes(t, "Unauthenticated")
	if n := s.outcomes(t, outcome); n != 1 || all != 1 {
		t.Errorf("%d audit entries with the outcome %s among %d, want 1", n, outcome, all)
	}
}

func TestChangedQueryRowDuringVendDropsToken(t *testing.T) {
	for name, c := range map[string]struct {
		statement string
		status    int
		code      string
	}{
		"another Customer": {`UPDATE users SET customer = '22222222-2222-4222-8222-222222222222' WHERE id = 'carol'`, http.StatusForbidden, "CustomerMismatch"},
		"none":             {`UPDATE users SET customer = NULL WHERE id = 'carol'`, http.StatusForbidden, "CustomerMismatch"},
		"no row":           {`DELETE FROM users WHERE id = 'carol'`, http.StatusForbidden, "CustomerMismatch"},
		"another user's":   {`UPDATE users SET customer = '22222222-2222-4222-8222-222222222222' WHERE id = 'mallory'`, http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, application := newFixture(t), querySource(t)
			application.settings["CUSTOMER_CACHE"] = "0s"
			s := w.start(t, application.settings)
			got := w.meanwhile(t, func() answer { return s.vend(t, "carol", readCustomer) }, func() {
				execute(t, application.settings["DATABASE_URL"], c.statement)
				s.vend(t, "carol", readCustomer)
				s.vend(t, "mallory", readCustomer)
			})
			answers(t, name, got, c.status, c.code)
		})
	}
}

// withoutOwners makes Dwolla list no beneficial owners once gone is true.
func (w *fixture) withoutOwners(gone *atomic.Bool) {
	w.dwolla.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !gone.Load() || !strings.HasSuffix(r.URL.Path, "/beneficial-owners") {
				next.ServeHTTP(rw, r)
				return
			}
			rw.Header().Set("Content-Type", "application/vnd.dwolla.v1.hal+json")
			_, _ = io.WriteString(rw, `{"_links":{"self":{"href":"http://`+r.Host+r.URL.Path+`"}},"_embedded":{"beneficial-owners":[]},"total":0}`)
		})
	})
}

// TestRemovedOwnerDuringVendDropsToken: an owner missing from the cached list
// causes a new read.
func TestRemovedOwnerDuringVendDropsToken(t *testing.T) {
	const unknownOwner = "99999999-9999-4999-8999-999999999999"
	naming := func(owner string) string {
		return `{"action":"beneficialowner.delete","_links":{"beneficial-owner":{"href":"https://api-sandbox.dwolla.com/beneficial-owners/` + owner + `"}}}`
	}
	for name, removed := range map[string]bool{"removed": true, "still there": false} {
		t.Run(name, func(t *testing.T) {
			var gone atomic.Bool
			w := newFixture(t)
			w.withoutOwners(&gone)
			owner := w.dwolla.BeneficialOwner(alicesCustomer)
			s := w.start(t, map[string]string{"ALLOWED_ACTIONS": "beneficialowner.delete"})
			got := w.meanwhile(t, func() answer { return s.vend(t, "alice", naming(owner)) }, func() {
				gone.Store(removed)
				// An owner missing from the cached list causes a new read.
				answers(t, "an unknown owner", s.vend(t, "alice", naming(unknownOwner)), http.StatusForbidden, "CustomerMismatch")
			})
			if removed {
				answers(t, name, got, http.StatusForbidden, "CustomerMismatch")
			} else {
				answers(t, name, got, http.StatusOK, "")
			}
		})
	}
}

// correlationID returns it from GET /session.
func (s *service) correlationID(t *testing.T, user string) string {
	t.Helper()
	token, err := s.fixture.provider.TokenFor(user)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.PublicAddr()+"/session", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	var info pageInfo
	if err := json.Unmarshal([]byte(do(t, r).body), &info); err != nil || info.CorrelationID == "" {
		t.Fatalf("no correlationId: %v", err)
	}
	return info.CorrelationID
}

// TestChangesDuringEnrollingVendDropToken: the request itself links the Customer.
func TestChangesDuringEnrollingVendDropToken(t *testing.T) {
	const created = "33333333-3333-4333-8333-333333333333"
	const linked = `{"customer":"` + created + `"}`
	for name, c := range map[string]struct {
		happens func(t *testing.T, s *service)
		status  int
		code    string
	}{
		"unlinked": {func(t *testing.T, s *service) {
			t.Helper()
			s.operate(t, adminToken, http.MethodDelete, "/customers/carol", "")
		}, http.StatusForbidden, "CustomerMismatch"},
		"moved to another user": {func(t *testing.T, s *service) {
			t.Helper()
			s.operate(t, adminToken, http.MethodDelete, "/customers/carol", "")
			answers(t, "link", s.operate(t, adminToken, http.MethodPut, "/customers/mallory", linked), http.StatusOK, "")
		}, http.StatusForbidden, "CustomerMismatch"},
		"linked again": {func(t *testing.T, s *service) {
			t.Helper()
			answers(t, "link", s.operate(t, adminToken, http.MethodPut, "/customers/carol", linked), http.StatusOK, "")
			answers(t, "the same request", s.vend(t, "carol", naming(created)), http.StatusOK, "")
		}, http.StatusOK, ""},
		"suspended": {func(t *testing.T, s *service) {
			t.Helper()
			s.fixture.dwolla.SetStatus(created, "suspended")
			until(t, "the suspension", func() bool { return s.vend(t, "carol", readCustomer).status == http.StatusForbidden })
		}, http.StatusForbidden, "CustomerInactive"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			s := w.start(t, map[string]string{
				"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "links.db"), "ADMIN_TOKEN": adminToken,
				"CUSTOMER_CACHE": "1m", "DWOLLA_WEBHOOK_SECRET": webhookSecret,
				"ENROLLMENT_KEYS": base64.StdEncoding.EncodeToString([]byte("an enrollment key of 32 bytes ok")),
			})
			w.dwolla.SendWebhooks("http://" + s.PublicAddr() + "/webhooks/dwolla")
			w.dwolla.Customer(emulator.Customer{ID: created, CorrelationID: s.correlationID(t, "carol")})
			got := w.meanwhile(t, func() answer { return s.vend(t, "carol", naming(created)) }, func() { c.happens(t, s) })
			answers(t, name, got, c.status, c.code)
		})
	}
}
