package app_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"

	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

const webhookSecret = dwollatest.WebhookSecret

// directories are the databases that a service may have. Each returns an empty
// one.
func directories() map[string]func(t *testing.T) string {
	return map[string]func(t *testing.T) string{
		"SQLite": func(t *testing.T) string {
			t.Helper()
			return "sqlite:" + filepath.Join(t.TempDir(), "links.db")
		},
		"PostgreSQL": postgresURL,
	}
}

// enrolling is a site of two replicas whose users create their own Customers.
func enrolling(t *testing.T, databaseURL string) *site {
	t.Helper()
	s := newSite(t, 2, map[string]string{
		"ALLOWED_ACTIONS":       "dwolla-personal-vcr",
		"SESSION_STORE":         "redis",
		"REDIS_URL":             redisURL(t),
		"CUSTOMER_SOURCE":       "database",
		"DATABASE_URL":          databaseURL,
		"CUSTOMER_CACHE":        "300ms", // so that the other replica notices soon
		"ENROLLMENT_KEYS":       base64.StdEncoding.EncodeToString([]byte("an enrollment key of 32 bytes ok")),
		"DWOLLA_WEBHOOK_SECRET": webhookSecret,
	})
	return s
}

// subscribe lets Dwolla tell one replica of what happens.
func (s *site) subscribe(t *testing.T) {
	t.Helper()
	s.world.dwolla.SendWebhooks("http://" + s.replicas[0].PublicAddr() + "/dropgate/webhooks/dwolla")
}

// token is a client token, or the test fails.
func (b browser) token(body string) string {
	b.t.Helper()
	var vended struct{ Token string }
	answer := b.send(http.MethodPost, "/client-tokens", body)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &vended); err != nil || vended.Token == "" {
		b.t.Fatalf("%s: %s", body, answer)
	}
	return vended.Token
}

// pageInfo is what GET /session tells a page.
type pageInfo struct {
	Customer *struct{ ID, Href, Status string }

	CorrelationID string
}

func (b browser) session() pageInfo {
	b.t.Helper()
	var info pageInfo
	_, answer := b.get(b.site.URL + "/dropgate/session")
	if err := json.Unmarshal([]byte(strings.TrimPrefix(answer, "200 ")), &info); err != nil {
		b.t.Fatalf("GET /session: %s", answer)
	}
	return info
}

// owns fails the test unless a page is told that this Customer is the user's.
func (b browser) owns(href string) {
	b.t.Helper()
	if info := b.session(); info.Customer == nil || info.Customer.Href != href || info.CorrelationID != "" {
		b.t.Errorf("the page is told %+v, want %s", info, href)
	}
}

// createCustomer does what a drop-in component does with a client token: it
// creates the Customer at Dwolla, and learns its URL.
func (b browser) createCustomer(correlationID string) (href string) {
	b.t.Helper()
	token := b.token(`{"action":"customer.create"}`)
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.site.world.settings["DWOLLA_BASE_URL"]+"/customers",
		strings.NewReader(`{"firstName":"Carol","lastName":"New","email":"carol@example.com","type":"personal","correlationId":"`+correlationID+`"}`))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header = http.Header{
		"Authorization": {"Bearer " + token},
		"Accept":        {"application/vnd.dwolla.v1.hal+json"},
		"Content-Type":  {"application/vnd.dwolla.v1.hal+json"},
	}
	created := do(b.t, r)
	if created.status != http.StatusCreated {
		b.t.Fatalf("Dwolla answers %d %s", created.status, created.body)
	}
	return created.header.Get("Location")
}

func reading(href string) string {
	return `{"action":"customer.read","_links":{"customer":{"href":"` + href + `"}}}`
}

// wants fails the test unless an answer begins so.
func wants(t *testing.T, what, answer, want string) {
	t.Helper()
	if !strings.HasPrefix(answer, want) {
		t.Errorf("%s: %s, want %s", what, answer, want)
	}
}

// until asks until the answer is good, for a while.
func until(t *testing.T, what string, good func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !good(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come true", what)
		}
	}
}

// TestANewUserCreatesACustomerAndGoesOnAtOnce is the whole story of a new user,
// without a webhook: those may be late.
func TestANewUserCreatesACustomerAndGoesOnAtOnce(t *testing.T) {
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

// onlyFor checks that every client token that was ever made is for that
// Customer, or creates one.
func (s *site) onlyFor(t *testing.T, href string) {
	t.Helper()
	for _, token := range s.world.dwolla.ClientTokens() {
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
func TestTheWebhookLinksACustomerThatNobodyHasNamed(t *testing.T) {
	for name, database := range directories() {
		t.Run(name, func(t *testing.T) {
			s := enrolling(t, database(t))
			s.subscribe(t)
			s.world.dwolla.InjectWebhookFault(emulator.WebhookFault{Twice: true})
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

// Whoever creates a Customer with the victim's correlationId makes it the
// victim's, and gets nothing (docs/decisions/0010).
func TestACustomerWithTheVictimsCorrelationIDIsNothingToTheAttacker(t *testing.T) {
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

// everywhere reports whether each of two requests is answered so: with two
// replicas, each gets one.
func (b browser) everywhere(want string) bool {
	b.t.Helper()
	first, second := b.vend(), b.vend()
	return strings.HasPrefix(first, want) && strings.HasPrefix(second, want)
}

func TestASuspendedCustomerGetsNoTokensUntilItIsActiveAgain(t *testing.T) {
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
				s.world.dwolla.SetStatus(id, status)
				until(t, status, func() bool { return carol.everywhere(want) }) // the other replica within a cache life
				if info := carol.session(); info.Customer.Status != status {
					t.Errorf("the page sees %q, want %q", info.Customer.Status, status)
				}
			}
		})
	}
}

// postgresURL is an empty schema on the real server, which is dropped when the
// test ends.
func postgresURL(t *testing.T) string {
	t.Helper()
	server := os.Getenv("TEST_POSTGRES_URL")
	if server == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_POSTGRES_URL is not set")
	} else if server == "" {
		t.Skip("TEST_POSTGRES_URL is not set")
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	schema := strings.ToLower("dropgate_test_" + rand.Text())
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), "DROP SCHEMA "+schema+" CASCADE")
		if err = errors.Join(err, db.Close()); err != nil {
			t.Error(err)
		}
	})
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	query.Set("search_path", schema)
	at.RawQuery = query.Encode()
	return at.String()
}
