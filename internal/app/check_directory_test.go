package app_test

import (
	"encoding/base64"
	"maps"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/app"
)

const enrollmentBytes = "an enrollment key of 32 bytes ok"

// enrollmentKey is a good one.
var enrollmentKey = base64.StdEncoding.EncodeToString([]byte(enrollmentBytes))

func TestLoadAcceptsEachCustomerSource(t *testing.T) {
	for name, changes := range map[string]map[string]string{
		"PostgreSQL": {"CUSTOMER_SOURCE": "database", "DATABASE_URL": "postgres://user:pass@db:5432/dropgate?sslmode=verify-full"},
		"everything": {
			"CUSTOMER_SOURCE": "database", "DATABASE_URL": "postgres://db/dropgate", "ENROLLMENT_KEYS": enrollmentKey,
			"DWOLLA_WEBHOOK_SECRET": webhookSecret, "ADMIN_TOKEN": adminToken, "CUSTOMER_CACHE": "0s",
		},
		"lookup":                         {"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://app.internal/users/{user}/customer"},
		"lookup by query":                {"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://app.internal/customer?of={user}", "CUSTOMER_LOOKUP_TOKEN": "a-token-of-enough-characters"},
		"query":                          {"CUSTOMER_SOURCE": "query", "DATABASE_URL": "postgres://db/app", "CUSTOMER_QUERY": "SELECT c FROM users WHERE id = $1", "CUSTOMER_STATUS_INTERVAL": "1m"},
		"webhooks beside a claim":        {"CUSTOMER_SOURCE": "claim", "DWOLLA_WEBHOOK_SECRET": webhookSecret, "DATABASE_URL": "sqlite:/tmp/a.db"},
		"statuses by asking, and a hook": {"CUSTOMER_SOURCE": "claim", "DWOLLA_WEBHOOK_SECRET": webhookSecret, "CUSTOMER_STATUS_INTERVAL": "24h"},
	} {
		if faults := faultsOf(t, changes); len(faults) != 0 {
			t.Errorf("%s: %q", name, faults)
		}
	}
}

func TestLoadNamesDirectoryFaults(t *testing.T) {
	database := func(changes map[string]string) map[string]string {
		all := map[string]string{"CUSTOMER_SOURCE": "database"}
		maps.Copy(all, changes)
		return all
	}
	for want, changes := range map[string]map[string]string{
		`CUSTOMER_SOURCE: must be claim, database, lookup or query, not "table"`: {"CUSTOMER_SOURCE": "table"},
		"DATABASE_URL: is neither sqlite:FILE nor .*":                            database(map[string]string{"DATABASE_URL": "mysql://hunter2@db"}),
		"DATABASE_URL: is neither sqlite.*":                                      database(map[string]string{"DATABASE_URL": "sqlite:"}),
		"DATABASE_URL: is not a URL such as postgres.*":                          database(map[string]string{"DATABASE_URL": "postgres://user:hunter2/x@db"}),
		"CUSTOMER_LOOKUP_URL: is required":                                       {"CUSTOMER_SOURCE": "lookup"},
		"CUSTOMER_LOOKUP_URL: .*{user}.*":                                        {"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://app.internal/users"},
		"CUSTOMER_LOOKUP_URL: is not https.*":                                    {"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://app.internal/{user}", "DWOLLA_ENVIRONMENT": "production", "DWOLLA_BASE_URL": "", "AUTH_BEARER_ISSUER": "https://id.example.com"},
		"CUSTOMER_LOOKUP_TOKEN: is shorter than 16 characters":                   {"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://app.internal/{user}", "CUSTOMER_LOOKUP_TOKEN": "hunter2"},
		"CUSTOMER_QUERY: is required":                                            {"CUSTOMER_SOURCE": "query", "DATABASE_URL": "postgres://db/app"},
		"DATABASE_URL: must be the postgres:// URL of the application's.*":       {"CUSTOMER_SOURCE": "query", "CUSTOMER_QUERY": "SELECT $1"},
		"CUSTOMER_CACHE: 6m0s is not between 0s and 5m0s":                        {"CUSTOMER_CACHE": "6m"},
		"CUSTOMER_STATUS_INTERVAL: 1s is not between 10s and 24h0m0s":            {"CUSTOMER_STATUS_INTERVAL": "1s"},
		"ENROLLMENT_KEYS: key 2 is not base64":                                   database(map[string]string{"ENROLLMENT_KEYS": enrollmentKey + ",hunter2!"}),
		"ENROLLMENT_KEYS: needs CUSTOMER_SOURCE=database.*":                      {"ENROLLMENT_KEYS": enrollmentKey},
		"ADMIN_TOKEN: needs CUSTOMER_SOURCE=database.*or oidc in AUTH_MODES.*":   {"ADMIN_TOKEN": adminToken},
		"ADMIN_TOKEN: is shorter than 32 characters":                             database(map[string]string{"ADMIN_TOKEN": "hunter2"}),
		"DWOLLA_WEBHOOK_SECRET: is shorter than 16 characters":                   database(map[string]string{"DWOLLA_WEBHOOK_SECRET": "hunter2"}),
		"DWOLLA_WEBHOOK_SECRET: cannot be used with CUSTOMER_SOURCE=query.*":     {"CUSTOMER_SOURCE": "query", "DATABASE_URL": "postgres://db/app", "CUSTOMER_QUERY": "SELECT $1", "DWOLLA_WEBHOOK_SECRET": webhookSecret},
	} {
		faults := faultsOf(t, changes)
		if len(faults) != 1 || !regexp.MustCompile("^"+want+"$").MatchString(faults[0]) {
			t.Errorf("faults %q, want %s", faults, want)
		}
		if strings.Contains(strings.Join(faults, ""), "hunter2") {
			t.Errorf("a secret is shown: %q", faults)
		}
	}
}

// TestCustomersCommandNeedsFewSettings: an operator's machine has not all
// of the service's secrets.
func TestCustomersCommandNeedsFewSettings(t *testing.T) {
	for want, environ := range map[string][]string{
		"DWOLLA_ENVIRONMENT: must be sandbox or production": {"DATABASE_URL=sqlite:/nowhere/at/all.db"},
		"CUSTOMER_SOURCE: is not database: .*":              {"DWOLLA_ENVIRONMENT=sandbox", "CUSTOMER_SOURCE=claim"},
		"DATABASE_URL: is neither .*":                       {"DWOLLA_ENVIRONMENT=sandbox", "DATABASE_URL=hunter2"},
	} {
		err := app.Customers(t.Context(), []string{"show", "ann"}, environ, app.Streams{})
		if err == nil || !regexp.MustCompile(`(?m)^  `+want+"$").MatchString(err.Error()) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
