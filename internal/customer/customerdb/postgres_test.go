package customerdb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
	"dropgate/internal/tcpproxy"
)

func TestPostgresPassesTheDatabaseSuite(t *testing.T) {
	t.Parallel()
	testDatabase(t, newPostgresDatabase)
}

func TestPostgresNeedNotBeUpAtStart(t *testing.T) {
	p := newPostgres(t)
	proxy, url := tcpproxy.Before(t, p.URL)
	proxy.Stop()
	d := openURL(t, url)
	if err := d.Migrate(t.Context()); err == nil || errors.Is(err, customerdb.ErrSchema) {
		t.Fatalf("error %v, want one that is not ErrSchema", err)
	}
	wantAway := func() {
		t.Helper()
		wantDown(t, d)
		if err := d.Link(t.Context(), "ann", customerA); err == nil || errors.Is(err, customerdb.ErrUserLinked) {
			t.Errorf("linked: error %v", err)
		}
		if added, err := d.AddEvent(t.Context(), event("e"), at(0)); err == nil || added {
			t.Errorf("added %v (error %v)", added, err)
		}
	}
	wantAway()
	proxy.Start()
	wantAway() // the schema is still missing
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	link(t, d, "ann", customerA)
	wantError(t, d.Ping(t.Context()), nil)
}

// The pool recovers without an operator after all kinds of disconnection.
func TestPostgresComesBackByItself(t *testing.T) {
	p := newPostgres(t)
	proxy, url := tcpproxy.Before(t, p.URL)
	d := openURL(t, url)
	wantError(t, d.Migrate(t.Context()), nil)
	cuts := []func(){
		func() { proxy.Stop(); wantDown(t, d); proxy.Start() },
		func() {
			query := `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = $1`
			if _, err := postgrestest.Open(t, postgrestest.Server(t)).ExecContext(t.Context(), query, p.Name); err != nil {
				t.Fatal(err)
			}
		},
	}
	for i, cut := range cuts {
		user, id := fmt.Sprint("user ", i), customerNumber(i)
		// First open all connections of the pool.
		race(func() *customerdb.Database { return d }, func(d *customerdb.Database, _ int) error {
			return d.Link(t.Context(), user, id)
		})
		cut()
		for d.Ping(t.Context()) != nil { // at most once per connection
		}
		wantCustomer(t, d, user, id)
		add(t, d, user, at(0))
	}
}

func wantDown(t *testing.T, d *customerdb.Database) {
	t.Helper()
	if _, err := d.Customer(t.Context(), "ann"); err == nil || errors.Is(err, clienttoken.ErrNoCustomer) {
		t.Errorf("error %v, want an outage", err)
	}
	if err := d.Ping(t.Context()); err == nil {
		t.Error("Ping says that all is well")
	}
}

func TestPostgresRefusesANewerSchema(t *testing.T) {
	p := newPostgres(t)
	link(t, p.open(t), "ann", customerA)
	db := postgrestest.Open(t, p.URL)
	exec1(t, db, `INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (999, true)`)
	d := p.openUnmigrated(t)
	if err := d.Migrate(t.Context()); !errors.Is(err, customerdb.ErrSchema) || !strings.Contains(err.Error(), "version 999") {
		t.Fatalf("error %v, want ErrSchema that names the version", err)
	}
	if err := d.Ping(t.Context()); err == nil {
		t.Error("Ping says that all is well")
	}
	exec1(t, db, `DELETE FROM dropgate_schema_version WHERE version_id = 999`)
	wantError(t, d.Migrate(t.Context()), nil)
	wantCustomer(t, d, "ann", customerA)
}

// A retry would not help.
func TestPostgresReportsAnUnusableDatabase(t *testing.T) {
	taken := newPostgres(t)
	exec1(t, postgrestest.Open(t, taken.URL), `CREATE TABLE dropgate_links (something TEXT)`)
	server := postgrestest.Server(t)
	for name, url := range map[string]string{
		"a table of somebody else's": taken.URL,
		"no such schema":             postgrestest.With(t, server, "search_path", "dropgate_test_none"),
	} {
		if err := openURL(t, url).Migrate(t.Context()); !errors.Is(err, customerdb.ErrSchema) {
			t.Errorf("%s: error %v, want ErrSchema", name, err)
		}
	}
}

// An administrator can help, without a restart.
func TestPostgresLoginFailureIsAnOutage(t *testing.T) {
	server := postgrestest.Server(t)
	for name, url := range map[string]string{
		"no such database": postgrestest.With(t, server, "dbname", "dropgate_test_none"),
		"no such user":     postgrestest.With(t, server, "user", "dropgate_test_none"),
	} {
		if err := openURL(t, url).Migrate(t.Context()); err == nil || errors.Is(err, customerdb.ErrSchema) {
			t.Errorf("%s: error %v, want one that is not ErrSchema", name, err)
		}
	}
}

func TestPostgresReplicasMigrateAtOnce(t *testing.T) { migrateReplicas(t, newPostgres(t)) }

// The application may share the schema, and use goose.
func TestPostgresSharesTheSchemaWithTheApplication(t *testing.T) {
	p := newPostgres(t)
	db := postgrestest.Open(t, p.URL)
	exec1(t, db, `CREATE TABLE goose_db_version (id SERIAL PRIMARY KEY, version_id BIGINT, is_applied BOOLEAN, tstamp TIMESTAMP)`)
	exec1(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (42, true)`)
	exec1(t, db, `CREATE TABLE customers (id TEXT)`)
	link(t, p.open(t), "ann", customerA)
}

func TestPostgresPoolIsBounded(t *testing.T) {
	p := newPostgres(t)
	d := p.open(t)
	for _, err := range race(func() *customerdb.Database { return d }, func(d *customerdb.Database, i int) error {
		return d.Link(t.Context(), fmt.Sprint("user ", i), customerNumber(i))
	}) {
		wantError(t, err, nil)
	}
	var n int
	err := postgrestest.Open(t, postgrestest.Server(t)).QueryRowContext(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE application_name = $1`, p.Name).Scan(&n)
	if err != nil || n == 0 || n > 16 {
		t.Errorf("%d connections (error %v), want 1 to 16", n, err)
	}
}

func TestPostgresConnectionsHaveAName(t *testing.T) {
	p := newPostgres(t)
	wantError(t, openURL(t, postgrestest.With(t, postgrestest.Server(t), "search_path", p.Name)).Migrate(t.Context()), nil)
	var n int
	err := postgrestest.Open(t, postgrestest.Server(t)).QueryRowContext(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dropgate'`).Scan(&n)
	if err != nil || n == 0 {
		t.Errorf("%d connections are called dropgate (error %v)", n, err)
	}
}

// The server does not answer in time.
func TestPostgresStopsWithItsCaller(t *testing.T) {
	p := newPostgres(t)
	d := p.open(t)
	tx, err := postgrestest.Open(t, p.URL).BeginTx(t.Context(), nil)
	wantError(t, err, nil)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), `LOCK TABLE dropgate_links`)
	wantError(t, err, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantError(t, d.Link(ctx, "ann", customerA), context.DeadlineExceeded)
	wantError(t, tx.Rollback(), nil)
	link(t, d, "ann", customerA)
}

func TestPostgresErrorsNeverShowTheURL(t *testing.T) {
	const password = "hunter2"
	for _, url := range []string{
		"", "x", "sqlite:a.db", "postgres://", "postgres:///x", "mysql://user:" + password + "@127.0.0.1/x",
		"host=127.0.0.1 password=" + password,
		"postgres://user:" + password,
		"postgres://user:" + password + "@127.0.0.1:port/x",
		"postgres://user:" + password + "@127.0.0.1:99999/x",
		"postgres://user:" + password + "%zz@127.0.0.1/x",
		"postgres://user:12/" + password + "@127.0.0.1/x",
		"postgres://user:12?" + password + "@127.0.0.1/x",
		"postgres://user:12#" + password + "@127.0.0.1/x",
		"postgres://user:12@" + password + "@127.0.0.1/x",
		"postgres://user:" + password + "@127.0.0.1/x?sslmode=maybe",
		"postgres://user:" + password + "@127.0.0.1/x?sslmode=verify-full&sslrootcert=/nowhere.pem",
		"postgres://user:" + password + "@127.0.0.1/x?connect_timeout=soon",
	} {
		d, err := customerdb.OpenPostgres(clienttoken.NewSecret(url))
		if err == nil {
			_ = d.Close()
			t.Errorf("%q was opened", url)
			continue
		}
		if said := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(said, password) {
			t.Errorf("%q: the error is %s", url, said)
		}
	}
	for _, url := range []string{
		"postgres://user:" + password + "@127.0.0.1:1/x",
		"postgres://user:" + password + "@127.0.0.1:1,127.0.0.1:2/x?sslmode=prefer",
		"postgres://user:" + password + "@host.invalid/x",
	} {
		d := openURL(t, url)
		_, dryErr := d.DryImport(t.Context())
		_, readErr := d.Customer(t.Context(), "ann")
		for _, err := range []error{d.Migrate(t.Context()), readErr, dryErr} {
			for ; err != nil; err = errors.Unwrap(err) {
				if said := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(said, password) {
					t.Errorf("%q: the error is %s", url, said)
				}
			}
		}
	}
}
