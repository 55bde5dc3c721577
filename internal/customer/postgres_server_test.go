package customer_test

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// postgres is a schema of a test's own on the server at TEST_POSTGRES_URL.
type postgres struct {
	name string // of the schema, and of the connections
	url  string
}

// postgresServer is the URL of a real server, where tests may make schemas.
func postgresServer(tb testing.TB) string {
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

// with returns the server's URL with other parameters: names and values in turn.
func with(tb testing.TB, server string, parameters ...string) string {
	tb.Helper()
	parsed, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	query := parsed.Query()
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// newPostgres makes an empty schema that is dropped when the test ends.
func newPostgres(tb testing.TB) postgres {
	tb.Helper()
	server := postgresServer(tb)
	name := strings.ToLower("dropgate_test_" + rand.Text())
	db := other(tb, server)
	quoted := pgx.Identifier{name}.Sanitize()
	if _, err := db.ExecContext(tb.Context(), "CREATE SCHEMA "+quoted); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := db.Exec("DROP SCHEMA " + quoted + " CASCADE"); err != nil { //nolint:noctx // tb's context has ended
			tb.Error(err)
		}
	})
	return postgres{name: name, url: with(tb, server, "search_path", name, "application_name", name)}
}

// other opens the database as another program would.
func other(tb testing.TB, url string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func (p postgres) open(tb testing.TB) *customer.Database {
	tb.Helper()
	d := p.openUnmigrated(tb)
	if err := d.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return d
}

func (p postgres) openUnmigrated(tb testing.TB) *customer.Database {
	tb.Helper()
	return openURL(tb, p.url)
}

func openURL(tb testing.TB, url string) *customer.Database {
	tb.Helper()
	d, err := customer.OpenPostgres(clienttoken.NewSecret(url))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// newPostgresDatabase is the newDatabase of PostgreSQL.
func newPostgresDatabase(tb testing.TB) func() *customer.Database {
	tb.Helper()
	p := newPostgres(tb)
	return func() *customer.Database { return p.open(tb) }
}

// awaitNobody waits until the server has noticed that nobody is connected to
// the schema at address any more: it may be at the last wish of a process that
// was killed.
func awaitNobody(tb testing.TB, address string) {
	tb.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	server := other(tb, with(tb, address, "application_name", "awaitNobody"))
	for connections := 1; connections > 0; {
		err := server.QueryRowContext(tb.Context(),
			`SELECT count(pg_sleep(0.01)) FROM pg_stat_activity WHERE application_name = $1`,
			parsed.Query().Get("application_name")).Scan(&connections)
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// role makes a role that may log in, and that owns nothing once the test has ended.
// Close what is connected as that role before.
func (p postgres) role(tb testing.TB, options string) string {
	tb.Helper()
	server := other(tb, postgresServer(tb))
	name := strings.Replace(p.name, "test", "role", 1)
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
