package app_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"dropgate/internal/app"
	"dropgate/internal/customer/customerdb"
)

// migrate runs `server migrate`, and returns its output.
func (d tools) migrate() string {
	d.t.Helper()
	var out bytes.Buffer
	if err := app.Migrate(d.t.Context(), d.environ, &out); err != nil {
		d.t.Fatal(err)
	}
	return out.String()
}

func TestMigrateCommandMayRunAgain(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		for range 2 {
			if said := d.migrate(); said != fmt.Sprintf("the schema is version %d\n", customerdb.NewestSchema) {
				t.Errorf("migrate says %q", said)
			}
		}
		d.good("link", "carol", alicesCustomer)
	})
}

func TestMigrateCommandLeavesOtherSources(t *testing.T) {
	d := newTools(t, "sqlite:"+t.TempDir()+"/no/such/folder.db")
	d.environ = append(d.environ, "CUSTOMER_SOURCE=claim")
	if said := d.migrate(); !strings.Contains(said, "nothing to migrate") {
		t.Errorf("migrate says %q", said)
	}
}

// After a roll-back, the old version's job meets the new version's schema.
func TestMigrateCommandAcceptsACompatibleSchema(t *testing.T) {
	d := newTools(t, postgresURL(t))
	d.migrate()
	const now = customerdb.NewestSchema
	next := func(version int) {
		execute(t, d.url(), fmt.Sprintf(`INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (-%d, true), (%d, true)`, version*1000+version-1, version))
	}
	next(now + 1)
	if said := d.migrate(); !strings.Contains(said, fmt.Sprintf("version %d, newer than this binary's %d, which may use it", now+1, now)) {
		t.Errorf("migrate says %q", said)
	}
	next(now + 2)
	var out bytes.Buffer
	if err := app.Migrate(t.Context(), d.environ, &out); err == nil || !strings.Contains(err.Error(), "run a newer binary") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

func TestStartSaysWhatToDoWithAFutureSchema(t *testing.T) {
	onEach(t, func(t *testing.T, d tools) {
		d.migrate()
		const future = customerdb.NewestSchema + 2
		d.insertVersion(future)
		settings := map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": d.url()}
		for _, migrates := range []string{"start", "job"} {
			if migrates == "job" && strings.HasPrefix(d.url(), "sqlite:") {
				continue // not with a file
			}
			settings["DATABASE_MIGRATE"] = migrates
			said := newFixture(t).refuses(t, settings)
			if !strings.HasPrefix(said, "DATABASE_URL: ") || !strings.Contains(said, fmt.Sprint("version ", future)) || !strings.HasSuffix(said, "run a newer binary") {
				t.Errorf("DATABASE_MIGRATE=%s: the start says %q", migrates, said)
			}
		}
	})
}

// insertVersion makes a schema look like one of a later version.
func (d tools) insertVersion(version int) {
	d.t.Helper()
	driver, at := "pgx", d.url()
	if file, found := strings.CutPrefix(at, "sqlite:"); found {
		driver, at = "sqlite", file
	}
	db, err := sql.Open(driver, at)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(d.t.Context(), fmt.Sprintf(`INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (%d, true)`, version)); err != nil {
		d.t.Fatal(err)
	}
}

// url is the tools' DATABASE_URL.
func (d tools) url() string {
	d.t.Helper()
	for _, variable := range d.environ {
		if url, found := strings.CutPrefix(variable, "DATABASE_URL="); found {
			return url
		}
	}
	d.t.Fatal("no DATABASE_URL")
	return ""
}

func TestServerWaitsForTheMigrateCommand(t *testing.T) {
	d := newTools(t, postgresURL(t))
	s := newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": d.url(), "DATABASE_MIGRATE": "job", "CUSTOMER_CACHE": "0s",
	})
	refusal := "database: postgres: schema not up to date"
	until(t, "the reason in /readyz", func() bool {
		got := s.admin(t, "/readyz")
		return got.status == http.StatusServiceUnavailable && strings.Contains(got.body, refusal)
	})
	until(t, "the log line", func() bool { return strings.Contains(s.logs.String(), "run server migrate: there is no schema yet") })
	answers(t, "meanwhile", s.vend(t, "carol", readCustomer), http.StatusServiceUnavailable, "Unavailable")

	d.environ = append(d.environ, "DATABASE_MIGRATE=job")
	if got := d.run("link", "carol", alicesCustomer); got.fault == nil || !strings.Contains(got.fault.Error(), "run server migrate") {
		t.Errorf("a command migrated, too (error %v)", got.fault)
	}
	d.migrate()
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	d.good("link", "carol", alicesCustomer)
	answers(t, "afterwards", s.vend(t, "carol", readCustomer), http.StatusOK, "")
}

func TestReplicaKeepsToItsConnections(t *testing.T) {
	at := postgresURL(t) + "&application_name=keeps-to-its-connections"
	newTools(t, at).good("link", "carol", alicesCustomer)
	s := newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": at, "DATABASE_MAX_CONNECTIONS": "3", "CUSTOMER_CACHE": "0s",
	})
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	var vends sync.WaitGroup
	for range 60 {
		vends.Go(func() { answers(t, "a vend", s.vend(t, "carol", readCustomer), http.StatusOK, "") })
	}
	vends.Wait()
	db, err := sql.Open("pgx", at+"-counted")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var open int // the pool keeps the connections it has opened
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keeps-to-its-connections'`).Scan(&open); err != nil {
		t.Fatal(err)
	}
	if open < 1 || open > 3 {
		t.Errorf("%d open connections, want at most 3", open)
	}
}

func TestDatabaseSettingsAreChecked(t *testing.T) {
	postgres := "postgres://u:p@127.0.0.1/x"
	for fault, changes := range map[string]map[string]string{
		"DATABASE_MAX_CONNECTIONS: 1 is not between 2 and 1000":   {"DATABASE_MAX_CONNECTIONS": "1"},
		"DATABASE_MAX_CONNECTIONS: -4 is not between 2 and 1000":  {"DATABASE_MAX_CONNECTIONS": "-4"},
		"DATABASE_MIGRATE: must be start or job":                  {"DATABASE_MIGRATE": "never"},
		"DATABASE_MIGRATE: must be start for a SQLite file: its ": {"DATABASE_MIGRATE": "job", "CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:x.db"},
		"": {"DATABASE_MIGRATE": "job", "DATABASE_MAX_CONNECTIONS": "1000", "CUSTOMER_SOURCE": "database", "DATABASE_URL": postgres},
	} {
		got := strings.Join(faultsOf(t, changes), "\n")
		if !strings.HasPrefix(got, fault) || (fault == "") != (got == "") {
			t.Errorf("%v: faults %q, want %q", changes, got, fault)
		}
	}
}
