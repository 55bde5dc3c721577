package customerdb_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

// fixture is SQL that makes an earlier schema.
func fixture(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "previous", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// newPreviousPostgres is a newDatabase with the schema of the previous release, which
// the service may not change.
func newPreviousPostgres(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	p := newPostgres(tb)
	several := postgrestest.With(tb, p.URL, "default_query_exec_mode", "simple_protocol")
	exec1(tb, postgrestest.Open(tb, several), fixture(tb, "postgres.sql"))
	return func() *customerdb.Database {
		d := p.openUnmigrated(tb)
		d.LeaveSchema()
		if err := d.Migrate(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		return d
	}
}

func TestReleaseRunsOnPreviousPostgresSchema(t *testing.T) {
	t.Parallel()
	testDatabase(t, newPreviousPostgres)
}

// newPreviousSQLite is a newDatabase that migrates the schema of the previous release.
func newPreviousSQLite(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "links.db")
	exec1(tb, raw(tb, path), fixture(tb, "sqlite.sql"))
	return func() *customerdb.Database { return openSQLite(tb, path) }
}

func TestReleaseMigratesPreviousSQLiteSchema(t *testing.T) {
	t.Parallel()
	testDatabase(t, newPreviousSQLite)
}

// newNextPostgres is a newDatabase that the next release has migrated.
func newNextPostgres(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	p := newPostgres(tb)
	migrateLike(tb, p.open(tb), "next")
	return func() *customerdb.Database { return p.open(tb) }
}

// newNextSQLite is a newDatabase that the next release has migrated.
func newNextSQLite(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "links.db")
	migrateLike(tb, openSQLite(tb, path), "next")
	return func() *customerdb.Database { return openSQLite(tb, path) }
}

// migrateLike migrates as the releases after this one would: the next one, and a later
// one.
func migrateLike(tb testing.TB, d *customerdb.Database, releases ...string) {
	tb.Helper()
	for i, release := range releases {
		text, err := os.ReadFile(filepath.Join("testdata", release+".sql"))
		if err != nil {
			tb.Fatal(err)
		}
		version := customerdb.NewestSchema + 1 + i
		text = bytes.ReplaceAll(text, []byte("PREVIOUS"), fmt.Append(nil, compatible(version)))
		if err := d.MigrateLike(tb.Context(), fstest.MapFS{fmt.Sprintf("migrations/%05d_example.sql", version): {Data: text}}); err != nil {
			tb.Fatal(err)
		}
	}
}

// compatible is the number, without its sign, which says that binaries of the version
// before may use the schema of a version.
func compatible(version int) int { return version*1000 + version - 1 }

func TestReleaseRunsOnNextPostgresSchema(t *testing.T) {
	t.Parallel()
	testDatabase(t, newNextPostgres)
}

func TestReleaseRunsOnNextSQLiteSchema(t *testing.T) {
	t.Parallel()
	testDatabase(t, newNextSQLite)
}

// A schema names the oldest binary that may use it. Two releases later, that is no
// longer this one.
func TestSchemaFromTheFarFutureIsRefused(t *testing.T) {
	p := newPostgres(t)
	migrateLike(t, p.open(t), "next", "later")
	wantTooNew(t, "PostgreSQL", p.openUnmigrated(t).Migrate(t.Context()))
	waiting := p.openUnmigrated(t)
	waiting.LeaveSchema()
	wantTooNew(t, "PostgreSQL, without migrating", waiting.Migrate(t.Context()))

	path := filepath.Join(t.TempDir(), "links.db")
	migrateLike(t, openSQLite(t, path), "next", "later")
	_, err := customerdb.OpenSQLite(t.Context(), path)
	wantTooNew(t, "SQLite", err)
}

// An incompatible migration has no row. The row of the migration before it must not
// let old binaries in.
func TestMigrationInheritsNoCompatibility(t *testing.T) {
	p := newPostgres(t)
	migrateLike(t, p.open(t), "next")
	const later = customerdb.NewestSchema + 2
	p.Exec(t, fmt.Sprintf(`INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (%d, true)`, later))
	s, err := p.openUnmigrated(t).Schema(t.Context())
	if want := (customerdb.Schema{Version: later, Compatible: later}); err != nil || s != want {
		t.Errorf("schema %v, error %v, want %v", s, err, want)
	}
	if err := p.openUnmigrated(t).Migrate(t.Context()); !errors.Is(err, customerdb.ErrSchema) {
		t.Errorf("error %v, want ErrSchema", err)
	}
}

func wantTooNew(t *testing.T, name string, err error) {
	t.Helper()
	if !errors.Is(err, customerdb.ErrSchema) {
		t.Fatalf("%s: error %v, want ErrSchema", name, err)
	}
	const now = customerdb.NewestSchema
	for _, part := range []string{fmt.Sprint("version ", now+2), fmt.Sprint("know version ", now+1), fmt.Sprint("only up to ", now), "run a newer binary"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %q does not say %q", name, err, part)
		}
	}
}

// wantBehind fails the test unless a database that may not migrate is behind.
func wantBehind(t *testing.T, d *customerdb.Database, says string) {
	t.Helper()
	err := d.Migrate(t.Context())
	if !errors.Is(err, customerdb.ErrSchemaBehind) || errors.Is(err, customerdb.ErrSchema) || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want ErrSchemaBehind that says %q", err, says)
	}
	if err := d.Ping(t.Context()); !errors.Is(err, customerdb.ErrNotMigrated) {
		t.Errorf("Ping: %v, want ErrNotMigrated", err)
	}
}

func TestServerLeavesSchemaToAnotherProcess(t *testing.T) {
	p := newPostgres(t)
	d := p.openUnmigrated(t)
	d.LeaveSchema()
	wantBehind(t, d, "there is no schema yet")
	if tables := p.tables(t); tables != 0 {
		t.Errorf("the server made %d tables", tables)
	}
	link(t, p.open(t), "ann", customerA)
	p.Exec(t, `DELETE FROM dropgate_schema_version WHERE version_id > 1`)
	wantBehind(t, d, "it is version 1, and this binary needs")
	for version := 2; version <= customerdb.NewestSchema; version++ {
		p.Exec(t, fmt.Sprintf(`INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (%d, true)`, version))
	}
	wantError(t, d.Migrate(t.Context()), nil)
	wantCustomer(t, d, "ann", customerA)
}

// tables counts the tables in the schema.
func (p postgres) tables(t *testing.T) (n int) {
	t.Helper()
	if err := postgrestest.Open(t, p.URL).QueryRowContext(t.Context(),
		`SELECT count(*) FROM information_schema.tables WHERE table_schema = $1`, p.Name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNewestSchemaIsTheLastMigration(t *testing.T) {
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) != customerdb.NewestSchema {
		t.Errorf("%d migrations, error %v, want %d", len(files), err, customerdb.NewestSchema)
	}
	d := newSQLite(t)()
	s, err := d.Schema(t.Context())
	if err != nil || s.Version != customerdb.NewestSchema {
		t.Errorf("schema %v, error %v", s, err)
	}
}

// Servers of this release may start before the migration, and servers of the previous
// release may start after it.
func TestNeighborReleasesRunOnEachOthersSchemas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	db := raw(t, path)
	exec1(t, db, fixture(t, "sqlite.sql"))
	var previous int64
	if err := db.QueryRowContext(t.Context(), `SELECT max(version_id) FROM dropgate_schema_version`).Scan(&previous); err != nil {
		t.Fatal(err)
	}
	if previous < customerdb.OldestSchema {
		t.Errorf("the previous release's schema is version %d, but this release needs %d", previous, customerdb.OldestSchema)
	}
	now, err := openSQLite(t, path).Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now.Version > previous && now.Compatible > previous {
		t.Errorf("the previous release knows version %d, but this release's schema needs %d", previous, now.Compatible)
	}
}
