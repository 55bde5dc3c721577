package customer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

func TestPostgresKeepsThePromisesOfADatabase(t *testing.T) {
	t.Parallel()
	testDatabase(t, newPostgresDatabase)
}

func TestPostgresNeedNotBeUpAtStart(t *testing.T) {
	p := newPostgres(t)
	gate := newGate(t, p.url)
	gate.shut()
	d := openURL(t, gate.url(t, p.url))
	if err := d.Migrate(t.Context()); err == nil || errors.Is(err, customer.ErrSchema) {
		t.Fatalf("error %v, want one that is not ErrSchema", err)
	}
	directory := customer.NewLinks(sandbox(t), d, 0)
	wantAway := func() {
		t.Helper()
		if err := d.Ping(t.Context()); err == nil {
			t.Error("Ping says that all is well")
		}
		_, err := directory.Customer(t.Context(), clienttoken.User{ID: "ann"})
		wantFailure(t, err)
		wantFailure(t, directory.Link(t.Context(), "ann", customerURL(t, customerA)))
		if added, err := d.AddEvent(t.Context(), event("e"), at(0)); err == nil || added {
			t.Errorf("added %v (error %v)", added, err)
		}
	}
	wantAway()
	gate.open(t)
	wantAway() // there is no schema yet
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	link(t, d, "ann", customerA)
	wantError(t, d.Ping(t.Context()), nil)
}

// Whatever connections were cut, nobody has to do anything about it.
func TestPostgresComesBackByItself(t *testing.T) {
	p := newPostgres(t)
	gate := newGate(t, p.url)
	d := openURL(t, gate.url(t, p.url))
	wantError(t, d.Migrate(t.Context()), nil)
	cuts := []func(){
		func() { gate.shut(); wantDown(t, d); gate.open(t) },
		func() {
			query := `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = $1`
			if _, err := other(t, postgresServer(t)).ExecContext(t.Context(), query, p.name); err != nil {
				t.Fatal(err)
			}
		},
	}
	for i, cut := range cuts {
		user, id := fmt.Sprint("user ", i), customerNumber(i)
		// All connections of the pool are open when they are cut.
		race(func() *customer.Database { return d }, func(d *customer.Database, _ int) error {
			return d.Link(t.Context(), user, id)
		})
		cut()
		for d.Ping(t.Context()) != nil { // once for each connection, at most
		}
		wantCustomer(t, d, user, id)
		add(t, d, user, at(0))
	}
}

func wantDown(t *testing.T, d *customer.Database) {
	t.Helper()
	_, err := customer.NewLinks(sandbox(t), d, 0).Customer(t.Context(), clienttoken.User{ID: "ann"})
	wantFailure(t, err)
	if err := d.Ping(t.Context()); err == nil {
		t.Error("Ping says that all is well")
	}
}

func TestPostgresRefusesANewerSchema(t *testing.T) {
	p := newPostgres(t)
	link(t, p.open(t), "ann", customerA)
	db := other(t, p.url)
	exec1(t, db, `INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (999, true)`)
	d := p.openUnmigrated(t)
	if err := d.Migrate(t.Context()); !errors.Is(err, customer.ErrSchema) || !strings.Contains(err.Error(), "version 999") {
		t.Fatalf("error %v, want ErrSchema that names the version", err)
	}
	if err := d.Ping(t.Context()); err == nil {
		t.Error("Ping says that all is well")
	}
	exec1(t, db, `DELETE FROM dropgate_schema_version WHERE version_id = 999`)
	wantError(t, d.Migrate(t.Context()), nil)
	wantCustomer(t, d, "ann", customerA)
}

// What trying again does not mend is not to be taken for an outage.
func TestPostgresTellsWhatDoesNotFit(t *testing.T) {
	taken := newPostgres(t)
	exec1(t, other(t, taken.url), `CREATE TABLE dropgate_links (something TEXT)`)
	server := postgresServer(t)
	for name, url := range map[string]string{
		"a table of somebody else's": taken.url,
		"no such schema":             with(t, server, "search_path", "dropgate_test_none"),
	} {
		if err := openURL(t, url).Migrate(t.Context()); !errors.Is(err, customer.ErrSchema) {
			t.Errorf("%s: error %v, want ErrSchema", name, err)
		}
	}
}

// Nor is what the other side mends, without a restart of ours, to end the start.
func TestPostgresThatDoesNotLetInIsAnOutage(t *testing.T) {
	server := postgresServer(t)
	for name, url := range map[string]string{
		"no such database": with(t, server, "dbname", "dropgate_test_none"),
		"no such user":     with(t, server, "user", "dropgate_test_none"),
	} {
		if err := openURL(t, url).Migrate(t.Context()); err == nil || errors.Is(err, customer.ErrSchema) {
			t.Errorf("%s: error %v, want one that is not ErrSchema", name, err)
		}
	}
}

func TestPostgresReplicasMigrateAtOnce(t *testing.T) { migrateReplicas(t, newPostgres(t)) }

// The application may have the database too, and use goose.
func TestPostgresSharesTheSchemaWithTheApplication(t *testing.T) {
	p := newPostgres(t)
	db := other(t, p.url)
	exec1(t, db, `CREATE TABLE goose_db_version (id SERIAL PRIMARY KEY, version_id BIGINT, is_applied BOOLEAN, tstamp TIMESTAMP)`)
	exec1(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (42, true)`)
	exec1(t, db, `CREATE TABLE customers (id TEXT)`)
	link(t, p.open(t), "ann", customerA)
}

func TestPostgresPoolIsBounded(t *testing.T) {
	p := newPostgres(t)
	d := p.open(t)
	for _, err := range race(func() *customer.Database { return d }, func(d *customer.Database, i int) error {
		return d.Link(t.Context(), fmt.Sprint("user ", i), customerNumber(i))
	}) {
		wantError(t, err, nil)
	}
	var n int
	err := other(t, postgresServer(t)).QueryRowContext(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE application_name = $1`, p.name).Scan(&n)
	if err != nil || n == 0 || n > 16 {
		t.Errorf("%d connections (error %v), want 1 to 16", n, err)
	}
}

func TestPostgresConnectionsHaveAName(t *testing.T) {
	p := newPostgres(t)
	wantError(t, openURL(t, with(t, postgresServer(t), "search_path", p.name)).Migrate(t.Context()), nil)
	var n int
	err := other(t, postgresServer(t)).QueryRowContext(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dropgate'`).Scan(&n)
	if err != nil || n == 0 {
		t.Errorf("%d connections are called dropgate (error %v)", n, err)
	}
}

// A server that takes no part of its own time off ours.
func TestPostgresStopsWithItsCaller(t *testing.T) {
	p := newPostgres(t)
	d := p.open(t)
	tx, err := other(t, p.url).BeginTx(t.Context(), nil)
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

func TestPostgresURLIsNeverTold(t *testing.T) {
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
		d, err := customer.OpenPostgres(clienttoken.NewSecret(url))
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
		query := newQuery(t, url, byID)
		_, askErr := ask(query, "ann")
		_, dryErr := d.DryImport(t.Context())
		_, readErr := d.Customer(t.Context(), "ann")
		for _, err := range []error{d.Migrate(t.Context()), readErr, askErr, dryErr, query.Check(t.Context())} {
			for ; err != nil; err = errors.Unwrap(err) {
				if said := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(said, password) {
					t.Errorf("%q: the error is %s", url, said)
				}
			}
		}
	}
}
