package app_test

import (
	"net/http"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

const webhookSecret = dwollatest.WebhookSecret

// TestNewUserEnrollsAndContinues is the whole story of a new user,
// without a webhook: those may be late.
func TestNewUserEnrollsAndContinues(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			s := enrolling(t, database(t))
			carol := s.browser(t)
			carol.signInAs("carol")
			info := carol.session()
			if info.Customer != nil || !strings.HasPrefix(info.CorrelationID, "dg1.") {
				t.Fatalf("before: %+v", info)
			}
			wants(t, "reading before there is a Customer", carol.vend(), `409 {"code":"CustomerNotLinked"`)
			href := carol.createCustomer(info.CorrelationID)

			// Somebody who has seen the URL comes first.
			mallory := s.browser(t)
			mallory.signInAs("mallory")
			wants(t, "mallory names it", mallory.send(http.MethodPost, "/client-tokens", reading(href)), `403 {"code":"CustomerMismatch"`)
			wants(t, "mallory links it", mallory.send(http.MethodPut, "/session/customer", `{"href":"`+href+`"}`), `403 {"code":"CustomerMismatch"`)

			wants(t, "reading", carol.send(http.MethodPost, "/client-tokens", reading(href)), `200 {"token":"`)
			for range 4 { // on both replicas
				wants(t, "linking it again", carol.send(http.MethodPut, "/session/customer", `{"href":"`+href+`"}`), `200 {"id":"`)
				wants(t, "reading without naming it", carol.vend(), `200 {"token":"`)
				carol.owns(href)
			}
			wants(t, "creating another one", carol.send(http.MethodPost, "/client-tokens", `{"action":"customer.create"}`), `409 {"code":"CustomerAlreadyLinked"`)
			wants(t, "mallory names it afterwards", mallory.send(http.MethodPost, "/client-tokens", reading(href)), `403 {"code":"CustomerMismatch"`)
			wants(t, "mallory has none", mallory.vend(), `409 {"code":"CustomerNotLinked"`)
			s.onlyFor(t, href)
		})
	}
}

// onlyFor checks that every client token so far is for this Customer, or creates
// one.
func (s *site) onlyFor(t *testing.T, href string) {
	t.Helper()
	for _, token := range s.fixture.dwolla.ClientTokens() {
		if token.Action != "customer.create" && !strings.HasSuffix(href, "/"+token.CustomerID) {
			t.Errorf("a token for %s of Customer %s", token.Action, token.CustomerID)
		}
	}
}

// links are the audit lines about links.
func (s *site) links(t *testing.T) []map[string]any {
	t.Helper()
	var links []map[string]any
	for _, replica := range s.replicas {
		for _, line := range replica.logs.lines(t, "audit") {
			if line["event"] == "link" {
				links = append(links, line)
			}
		}
	}
	return links
}

// The page was closed before it could name the new Customer.
func TestWebhookLinksNewCustomer(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			s := enrolling(t, database(t))
			s.subscribe(t)
			s.fixture.dwolla.InjectWebhookFault(emulator.WebhookFault{Twice: true})
			carol := s.browser(t)
			carol.signInAs("carol")
			href := carol.createCustomer(carol.session().CorrelationID)
			until(t, "the link", func() bool { return carol.session().Customer != nil })
			if info := carol.session(); info.Customer.Href != href {
				t.Errorf("linked to %s, want %s", info.Customer.Href, href)
			}
			wants(t, "reading", carol.vend(), `200 {"token":"`)
			until(t, "the audit line", func() bool { return len(s.links(t)) > 0 })
			linked := s.links(t)
			if len(linked) != 1 || linked[0]["mode"] != "webhook" || linked[0]["user"] != "carol" || linked[0]["outcome"] != "linked" {
				t.Errorf("audit lines %v", linked)
			}
		})
	}
}

func TestStolenCorrelationIDGivesAttackerNothing(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			s := enrolling(t, database(t))
			carol, mallory := s.browser(t), s.browser(t)
			carol.signInAs("carol")
			mallory.signInAs("mallory")
			href := mallory.createCustomer(carol.session().CorrelationID)
			wants(t, "mallory names it", mallory.send(http.MethodPost, "/client-tokens", reading(href)), `403 {"code":"CustomerMismatch"`)
			wants(t, "carol names it", carol.send(http.MethodPost, "/client-tokens", reading(href)), `200 {"token":"`)
			wants(t, "mallory names it again", mallory.send(http.MethodPost, "/client-tokens", reading(href)), `403 {"code":"CustomerMismatch"`)
			wants(t, "mallory has none", mallory.vend(), `409 {"code":"CustomerNotLinked"`)
			if info := mallory.session(); info.Customer != nil {
				t.Errorf("mallory has %+v", info.Customer)
			}
		})
	}
}

func TestSuspendedCustomerGetsNoTokens(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			s := enrolling(t, database(t))
			s.subscribe(t)
			carol := s.browser(t)
			carol.signInAs("carol")
			carol.createCustomer(carol.session().CorrelationID)
			until(t, "the link", func() bool { return carol.session().Customer != nil })
			id := carol.session().Customer.ID
			inactive, active := `403 {"code":"CustomerInactive"`, `200 {"token":"`
			for n, want := range []string{inactive, active, inactive, active} {
				status := []string{"suspended", "verified", "deactivated", "verified"}[n]
				s.fixture.dwolla.SetStatus(id, status)
				until(t, status, func() bool { return carol.everywhere(want) }) // the other replica within a cache life
				if info := carol.session(); info.Customer.Status != status {
					t.Errorf("the page sees %q, want %q", info.Customer.Status, status)
				}
			}
		})
	}
}
