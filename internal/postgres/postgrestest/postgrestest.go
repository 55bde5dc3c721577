// Package postgrestest gives each test its own schema on a real PostgreSQL server,
// directly or behind PgBouncer. It serves tests only.
package postgrestest

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"
)

// Schema is a schema that belongs to one test.
type Schema struct {
	Name string // of the schema, and the application_name of its connections
	URL  string
}

// Server returns the URL of the server in TEST_POSTGRES_URL. Without one it skips
// the test, or fails it in CI.
func Server(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv("TEST_POSTGRES_URL")
	switch {
	case server != "":
		return server
	case os.Getenv("CI") == "true":
		tb.Fatal("TEST_POSTGRES_URL is not set")
	default:
		tb.Skip("TEST_POSTGRES_URL is not set")
	}
	return ""
}

// With returns the server's URL with query parameters replaced: names and values
// in turn.
func With(tb testing.TB, server string, parameters ...string) string {
	tb.Helper()
	parsed, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	query := parsed.Query()
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1]) //nolint:gosec // a caller's odd number is a fault of the test
	}
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// New makes an empty schema and drops it when the test ends.
func New(tb testing.TB) Schema {
	tb.Helper()
	server := Server(tb)
	name := strings.ToLower("dropgate_test_" + rand.Text())
	db := Open(tb, server)
	quoted := pgx.Identifier{name}.Sanitize()
	if _, err := db.ExecContext(tb.Context(), "CREATE SCHEMA "+quoted); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA " + quoted + " CASCADE"); err != nil { //nolint:noctx // tb's context has ended
			tb.Error(err)
		}
	})
	return Schema{Name: name, URL: With(tb, server, "search_path", name, "application_name", name)}
}

// Open opens the database as another program would.
func Open(tb testing.TB, url string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Exec runs a statement on a connection of its own.
func (s Schema) Exec(tb testing.TB, statement string) {
	tb.Helper()
	db := Open(tb, s.URL)
	if _, err := db.ExecContext(tb.Context(), statement); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
	_ = db.Close()
}

// AwaitDisconnected waits until the server has closed all connections to the schema at
// address. A killed process may leave a running statement.
func AwaitDisconnected(tb testing.TB, address string) {
	tb.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	server := Open(tb, With(tb, address, "application_name", "AwaitDisconnected"))
	for connections := 1; connections > 0; {
		err := server.QueryRowContext(tb.Context(),
			`SELECT count(pg_sleep(0.01)) FROM pg_stat_activity WHERE application_name = $1`,
			parsed.Query().Get("application_name")).Scan(&connections)
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// Role makes a role that may log in, and drops it with all it owns when the test
// ends. Close its connections before that.
func (s Schema) Role(tb testing.TB, options string) string {
	tb.Helper()
	server := Open(tb, Server(tb))
	name := strings.Replace(s.Name, "test", "role", 1)
	if _, err := server.ExecContext(tb.Context(), `CREATE ROLE `+name+` LOGIN `+options); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		for _, statement := range []string{`DROP OWNED BY `, `DROP ROLE `} {
			if _, err := server.Exec(statement + name); err != nil { //nolint:noctx // tb's context has ended
				tb.Error(err)
			}
		}
	})
	return name
}
