package app_test

import (
	"database/sql"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"dropgate/internal/app"
)

const (
	lookupToken      = "the-very-secret-of-the-application"
	databasePassword = "the-very-secret-of-the-database"
	readCustomer     = `{"action":"customer.read"}`
)

// source is an application that knows whose Customer is whose: carol has
// alicesCustomer, and nobody else has one.
type source struct {
	*gate

	settings map[string]string
}

// lookupSource is one that is asked over HTTP.
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
	g, at := through(t, application.URL)
	return source{g, map[string]string{
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": at + "/users/{user}/dwolla-customer", "CUSTOMER_LOOKUP_TOKEN": lookupToken,
	}}
}

// querySource is one that has a table in PostgreSQL.
func querySource(t *testing.T) source {
	t.Helper()
	at := postgresURL(t)
	execute(t, at, `CREATE TABLE users (id text PRIMARY KEY, customer text)`,
		`INSERT INTO users VALUES ('carol', '`+alicesCustomer+`'), ('mallory', NULL)`)
	g, at := through(t, withPassword(t, at))
	return source{g, map[string]string{
		"CUSTOMER_SOURCE": "query", "DATABASE_URL": at, "CUSTOMER_QUERY": "SELECT id, customer FROM users WHERE id = $1",
	}}
}

func sources() map[string]func(t *testing.T) source {
	return map[string]func(t *testing.T) source{"lookup": lookupSource, "query": querySource}
}

// withPassword is a database's URL with a password that may not be seen
// anywhere. The server of the tests lets everybody in.
func withPassword(t *testing.T, databaseURL string) string {
	t.Helper()
	at, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword(at.User.Username(), databasePassword)
	return at.String()
}

// execute runs statements at a PostgreSQL server.
func execute(t *testing.T, databaseURL string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// answers fails the test unless an answer has that status and, where it is an
// error, that code; an outage has to say when to come back.
func answers(t *testing.T, what string, got answer, status int, code string) {
	t.Helper()
	var said struct{ Code string }
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.status != status || said.Code != code {
		t.Errorf("%s: %d %s, want %d %s", what, got.status, got.body, status, code)
	}
	if status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
		t.Errorf("%s: no Retry-After", what)
	}
}

func naming(customer string) string {
	return `{"action":"customer.read","_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/` + customer + `"}}}`
}

func TestTheApplicationsOwnAnswerIsWhatIsVendedFor(t *testing.T) {
	for name, open := range sources() {
		t.Run(name, func(t *testing.T) {
			w, application := newWorld(t), open(t)
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

func TestAnApplicationThatIsAwayIsAnOutageAndHealsByItself(t *testing.T) {
	for name, open := range sources() {
		t.Run(name, func(t *testing.T) {
			w, application := newWorld(t), open(t)
			application.shut()
			settings := maps.Clone(application.settings)
			settings["CUSTOMER_CACHE"] = "0s" // so that nothing bridges the second outage
			s := w.start(t, settings)
			for _, when := range []string{"from the start", "later"} {
				for _, user := range []string{"carol", "mallory"} { // never "none"
					answers(t, user+", "+when, s.vend(t, user, readCustomer), http.StatusServiceUnavailable, "Unavailable")
				}
				application.open(t)
				until(t, "a token", func() bool { return s.vend(t, "carol", readCustomer).status == http.StatusOK })
				answers(t, "mallory, afterwards", s.vend(t, "mallory", readCustomer), http.StatusConflict, "CustomerNotLinked")
				application.shut()
			}
			shows(t, s, databasePassword, lookupToken, "postgres://")
		})
	}
}

// shows fails the test if any of the secrets is in what operators see.
func shows(t *testing.T, s *service, secrets ...string) {
	t.Helper()
	for where, text := range map[string]string{
		"/readyz": s.admin(t, "/readyz").body, "/metrics": s.admin(t, "/metrics").body, "the log": s.logs.String(),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %.20s…", where, secret)
			}
		}
	}
}

func TestWhatIsRememberedBridgesAnOutageOfTheApplication(t *testing.T) {
	for name, open := range sources() {
		t.Run(name, func(t *testing.T) {
			w, application := newWorld(t), open(t)
			settings := maps.Clone(application.settings)
			settings["CUSTOMER_CACHE"] = "5m"
			s := w.start(t, settings)
			answers(t, "before", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			application.shut()
			answers(t, "meanwhile", s.vend(t, "carol", readCustomer), http.StatusOK, "")
			answers(t, "for somebody new", s.vend(t, "mallory", readCustomer), http.StatusServiceUnavailable, "Unavailable")
		})
	}
}

// refuses is why the service does not start, if it does not.
func (w *world) refuses(t *testing.T, changes map[string]string) string {
	t.Helper()
	settings := maps.Clone(w.settings)
	maps.Copy(settings, changes)
	config, err := app.Load(environ(settings))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = app.Open(t.Context(), config, "test", io.Discard); err == nil {
		t.Fatal("the service has started")
	}
	return err.Error()
}

func TestAQueryThatDoesNotFitEndsTheStart(t *testing.T) {
	w, application := newWorld(t), querySource(t)
	for _, statement := range []string{"SELECT id, customer FROM people WHERE id = $1", "SELECT customer FROM users WHERE id = $1", "nonsense"} {
		settings := maps.Clone(application.settings)
		settings["CUSTOMER_QUERY"] = statement
		if why := w.refuses(t, settings); !strings.HasPrefix(why, "CUSTOMER_QUERY: ") || strings.Contains(why, databasePassword) {
			t.Errorf("%s: %s", statement, why)
		}
	}
}

// A replica that restarts while the database is down cannot know. Nobody gets a
// token by a query that does not fit, and readiness says so once it is known.
func TestAQueryThatCannotBeCheckedAtTheStartIsCheckedLater(t *testing.T) {
	w, application := newWorld(t), querySource(t)
	application.shut()
	settings := maps.Clone(application.settings)
	settings["CUSTOMER_QUERY"] = "SELECT id, customer FROM people WHERE id = $1"
	s := w.start(t, settings)
	answers(t, "while it is away", s.vend(t, "carol", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	application.open(t)
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
