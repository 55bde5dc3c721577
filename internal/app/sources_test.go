package app_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dropgate/internal/tcpproxy"
)

const (
	lookupToken      = "the-very-secret-of-the-application"
	databasePassword = "the-very-secret-of-the-database"
	readCustomer     = `{"action":"customer.read"}`
)

// source is an application with one link: carol has alicesCustomer.
type source struct {
	*tcpproxy.Proxy

	settings map[string]string
}

// lookupSource answers over HTTP.
func lookupSource(t *testing.T) source {
	t.Helper()
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+lookupToken:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/users/carol/dwolla-customer":
			_, _ = io.WriteString(w, `{"customer":"`+alicesCustomer+`"}`)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(application.Close)
	g, at := tcpproxy.Before(t, application.URL)
	return source{g, map[string]string{
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": at + "/users/{user}/dwolla-customer", "CUSTOMER_LOOKUP_TOKEN": lookupToken,
	}}
}

// querySource keeps the link in a table of PostgreSQL.
func querySource(t *testing.T) source {
	t.Helper()
	at := postgresURL(t)
	execute(t, at, `CREATE TABLE users (id text PRIMARY KEY, customer text)`,
		`INSERT INTO users VALUES ('carol', '`+alicesCustomer+`'), ('mallory', NULL)`)
	g, at := tcpproxy.Before(t, withPassword(t, at))
	return source{g, map[string]string{
		"CUSTOMER_SOURCE": "query", "DATABASE_URL": at, "CUSTOMER_QUERY": "SELECT id, customer FROM users WHERE id = $1",
	}}
}

// sources are the sources of links outside of dropgate.
func sources() map[string]func(t *testing.T) source {
	return map[string]func(t *testing.T) source{"lookup": lookupSource, "query": querySource}
}

func TestLookupAnswerDecidesCustomer(t *testing.T) {
	for name, open := range sources() {
		t.Run(name, func(t *testing.T) {
			w, application := newFixture(t), open(t)
			s := w.start(t, application.settings)
			answers(t, "carol", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			answers(t, "carol names it", s.vend(t, "carol", naming(alicesCustomer)), http.StatusOK, "")
			answers(t, "carol names another", s.vend(t, "carol", naming(bobsCustomer)), http.StatusForbidden, "CustomerMismatch")
			answers(t, "mallory has none", s.vend(t, "mallory", readCustomer), http.StatusConflict, "CustomerNotLinked")
			answers(t, "mallory names carol's", s.vend(t, "mallory", naming(alicesCustomer)), http.StatusForbidden, "CustomerMismatch")
			// Alice's claim does not count where the application is asked.
			answers(t, "alice", s.vend(t, "alice", readCustomer), http.StatusConflict, "CustomerNotLinked")
			if issued := w.dwolla.ClientTokens(); len(issued) != 2 {
				t.Errorf("Dwolla issued %+v", issued)
			}
		})
	}
}

func TestLookupOutageRecovers(t *testing.T) {
	for name, open := range sources() {
		t.Run(name, func(t *testing.T) {
			w, application := newFixture(t), open(t)
			application.Stop()
			settings := maps.Clone(application.settings)
			settings["CUSTOMER_CACHE"] = "0s" // so that nothing bridges the second outage
			s := w.start(t, settings)
			for _, when := range []string{"from the start", "later"} {
				for _, user := range []string{"carol", "mallory"} { // never "none"
					answers(t, user+", "+when, s.vend(t, user, readCustomer), http.StatusServiceUnavailable, "Unavailable")
				}
				application.Start()
				until(t, "a token", func() bool { return s.vend(t, "carol", readCustomer).status == http.StatusOK })
				answers(t, "mallory, afterwards", s.vend(t, "mallory", readCustomer), http.StatusConflict, "CustomerNotLinked")
				application.Stop()
			}
			shows(t, s, databasePassword, lookupToken, "postgres://")
		})
	}
}

func TestCachedLookupBridgesOutage(t *testing.T) {
	for name, open := range sources() {
		t.Run(name, func(t *testing.T) {
			w, application := newFixture(t), open(t)
			settings := maps.Clone(application.settings)
			settings["CUSTOMER_CACHE"] = "5m"
			s := w.start(t, settings)
			answers(t, "before", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			application.Stop()
			answers(t, "meanwhile", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			answers(t, "for somebody new", s.vend(t, "mallory", readCustomer), http.StatusServiceUnavailable, "Unavailable")
		})
	}
}

func TestUnfitQueryFailsStart(t *testing.T) {
	w, application := newFixture(t), querySource(t)
	for _, statement := range []string{"SELECT id, customer FROM people WHERE id = $1", "SELECT customer FROM users WHERE id = $1", "nonsense"} {
		settings := maps.Clone(application.settings)
		settings["CUSTOMER_QUERY"] = statement
		if why := w.refuses(t, settings); !strings.HasPrefix(why, "CUSTOMER_QUERY: ") || strings.Contains(why, databasePassword) {
			t.Errorf("%s: %s", statement, why)
		}
	}
}

// TestQueryIsCheckedAfterLateConnect starts without the database. Readiness reports
// the unfit query later, and users get no token.
func TestQueryIsCheckedAfterLateConnect(t *testing.T) {
	w, application := newFixture(t), querySource(t)
	application.Stop()
	settings := maps.Clone(application.settings)
	settings["CUSTOMER_QUERY"] = "SELECT id, customer FROM people WHERE id = $1"
	s := w.start(t, settings)
	answers(t, "while it is away", s.vend(t, "carol", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	application.Start()
	until(t, "the reason", func() bool {
		return strings.Contains(s.admin(t, "/readyz").body, "postgres: CUSTOMER_QUERY does not fit")
	})
	answers(t, "afterwards", s.vend(t, "carol", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	if !strings.Contains(s.logs.String(), "people") {
		t.Error("the log has no details")
	}
	if got := s.admin(t, "/readyz"); got.status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
}
