package app_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dropgate/internal/app"
)

// production is a configuration for production without a fault, with changes.
func production(changes map[string]string) map[string]string {
	vars := oidc(map[string]string{"DWOLLA_ENVIRONMENT": "production"})
	maps.Copy(vars, changes)
	return vars
}

// withoutPG clears the environment variables of pgx.
func withoutPG(t *testing.T) {
	t.Helper()
	for _, name := range []string{"PGHOST", "PGPORT", "PGSSLMODE", "PGSSLROOTCERT", "PGSERVICE", "PGSERVICEFILE"} {
		t.Setenv(name, "")
	}
}

// exposed are URLs of remote servers without verified TLS.
func exposed() []string {
	return []string{
		"postgres://u:p@db.internal/x",
		"postgresql://u:p@db.internal/x?sslmode=disable",
		"postgres://u:p@db.internal/x?sslmode=allow",
		"postgres://u:p@db.internal/x?sslmode=prefer",
		"postgres://u:p@db.internal/x?sslmode=require",
		"postgres://u:p@db.internal/x?sslmode=require&sslnegotiation=direct",
		"postgres://u:p@db.internal/x?sslmode=verify-ca",
		"postgres://u:p@10.1.2.3/x?sslmode=disable",
		"postgres://u:p@[2001:db8::1]:5432/x?sslmode=disable",
		"postgres://u:p@0.0.0.0/x?sslmode=disable",
		"postgres://u:p@localhost.evil.example/x?sslmode=disable",
		"postgres://u:p@127.0.0.1.evil.example/x?sslmode=disable",
		"postgres://u:p@127.0.0.1,db.internal/x?sslmode=disable",
		"postgres://u:p@db.internal,127.0.0.1/x?sslmode=disable",
		"postgres://u:p@127.0.0.1/x?sslmode=disable&host=db.internal",
		"postgres://u:p@db.internal/x?sslmode=verify-full&sslmode=disable",
	}
}

func TestProductionDemandsVerifiedTLSOfPostgreSQL(t *testing.T) {
	withoutPG(t)
	for _, url := range exposed() {
		for name, settings := range map[string]map[string]string{
			"database": {"CUSTOMER_SOURCE": "database"},
			"query":    {"CUSTOMER_SOURCE": "query", "CUSTOMER_QUERY": "SELECT c, id FROM users WHERE id = $1"},
			"webhooks": {"CUSTOMER_SOURCE": "claim", "DWOLLA_WEBHOOK_SECRET": webhookSecret},
		} {
			for allowed, faulty := range map[string]bool{"": true, "redis": true, "redis, postgres": false} {
				changes := production(settings)
				maps.Copy(changes, map[string]string{"DATABASE_URL": url, "ALLOW_PLAINTEXT": allowed})
				faults := strings.Join(faultsOf(t, changes), "\n")
				if faulty != strings.HasPrefix(faults, "DATABASE_URL: reaches another machine") || !faulty && faults != "" {
					t.Errorf("%s, %s, ALLOW_PLAINTEXT=%s: %q", name, url, allowed, faults)
				}
			}
		}
		if faults := faultsOf(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": url}); faults != nil {
			t.Errorf("%s in the sandbox: %q", url, faults)
		}
	}
}

func TestCustomersCommandDemandsVerifiedTLS(t *testing.T) {
	withoutPG(t)
	for _, url := range exposed() {
		environ := []string{"DWOLLA_ENVIRONMENT=production", "DATABASE_URL=" + url}
		err := app.Customers(t.Context(), []string{"show", "ann"}, environ, app.Streams{})
		if err == nil || !strings.Contains(err.Error(), "DATABASE_URL: reaches another machine") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestProductionAcceptsLocalOrVerifiedPostgreSQL(t *testing.T) {
	withoutPG(t)
	for _, url := range []string{
		"postgres://u:p@db.internal/x?sslmode=verify-full",
		"postgres://u:p@a.internal,b.internal:5433/x?sslmode=verify-full",
		"postgres://u:p@10.1.2.3/x?sslmode=verify-full",
		"postgres://u:p@db.internal/x?sslrootcert=system",
		"postgres://u:p@localhost/x", "postgres://u:p@LOCALHOST/x?sslmode=disable", "postgres://u:p@127.0.0.1:5433/x", "postgres://u:p@127.9.9.9/x",
		"postgres://u:p@[::1]/x?sslmode=disable",
		"postgres://u:p@localhost/x?host=/run/postgresql&sslmode=disable",
		"postgres://u:p@%2Frun%2Fpostgresql/x",
	} {
		if faults := faultsOf(t, production(map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": url})); faults != nil {
			t.Errorf("%s: %q", url, faults)
		}
	}
}

// TestPostgreSQLEnvironmentVariablesCount: pgx also reads variables and files.
func TestPostgreSQLEnvironmentVariablesCount(t *testing.T) {
	withoutPG(t)
	service := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(service, []byte("[far]\nhost=db.internal\nsslmode=disable\n[safe]\nsslmode=verify-full\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGSERVICEFILE", service)
	for _, test := range []struct {
		name, value, url string
		good             bool
	}{
		{"PGSSLMODE", "verify-full", "postgres://u:p@db.internal/x", true},
		{"PGSSLMODE", "verify-full", "postgres://u:p@db.internal/x?sslmode=disable", false},
		{"PGSSLMODE", "disable", "postgres://u:p@db.internal/x", false},
		{"PGHOST", "db.internal", "postgres://u:p@:5432/x?sslmode=disable", false},
		{"PGHOST", "127.0.0.1", "postgres://u:p@:5432/x?sslmode=disable", true},
		{"PGSERVICE", "far", "postgres://u:p@:5432/x", false},
		{"PGSERVICE", "safe", "postgres://u:p@db.internal/x", true},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Setenv(test.name, test.value)
			faults := faultsOf(t, production(map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": test.url}))
			if (faults == nil) != test.good {
				t.Errorf("%s: %q", test.url, faults)
			}
		})
	}
}

func TestProductionDemandsVerifiedTLSOfRedis(t *testing.T) {
	for url, good := range map[string]bool{
		"redis://redis.internal:6379/0":             false,
		"redis://:p@10.1.2.3":                       false,
		"redis://[2001:db8::1]:6379":                false,
		"redis://0.0.0.0:6379":                      false,
		"redis://localhost.evil.example":            false,
		"rediss://redis.internal?skip_verify=true":  false,
		"rediss://redis.internal?skip_verify=1":     false,
		"rediss://10.1.2.3:6380/1?skip_verify=true": false,
		"rediss://redis.internal:6380/1":            true,
		"rediss://redis.internal?skip_verify=false": true,
		"redis://localhost:6379":                    true,
		"redis://127.0.0.1":                         true,
		"redis://[::1]:6379/2":                      true,
		"rediss://localhost?skip_verify=true":       true,
		"redis://":                                  true, // its default is localhost
		"unix:///run/redis/redis.sock":              true,
	} {
		changes := production(map[string]string{"REDIS_URL": url})
		if faults := faultsOf(t, changes); (faults == nil) != good || !good && !strings.HasPrefix(faults[0], "REDIS_URL: reaches another machine") {
			t.Errorf("%s: %q", url, faults)
		}
		changes["ALLOW_PLAINTEXT"] = "redis"
		if faults := faultsOf(t, changes); faults != nil {
			t.Errorf("%s, allowed: %q", url, faults)
		}
	}
}

func TestAllowPlaintextAcceptsTwoNames(t *testing.T) {
	for _, value := range []string{"all", "postgres,https", "Redis", "postgresql"} {
		if faults := faultsOf(t, map[string]string{"ALLOW_PLAINTEXT": value}); len(faults) != 1 || !strings.Contains(faults[0], "is neither postgres nor redis") {
			t.Errorf("%s: %q", value, faults)
		}
	}
}
