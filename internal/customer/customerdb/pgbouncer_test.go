package customerdb_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

// newBouncedDatabase is a newDatabase behind PgBouncer.
func newBouncedDatabase(tb testing.TB) func() *customerdb.Database {
	tb.Helper()
	p := newPostgres(tb).bounced(tb, 4)
	return func() *customerdb.Database { return p.open(tb) }
}

func TestPgBouncerPassesTheDatabaseSuite(t *testing.T) {
	t.Parallel()
	testDatabase(t, newBouncedDatabase)
}

func TestPgBouncerWithOneConnectionMigratesReplicas(t *testing.T) {
	t.Parallel()
	migrateReplicas(t, newPostgres(t).bounced(t, 1))
}

func TestMigrationsNeedOneConnection(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	role := p.Role(t, `CONNECTION LIMIT 1`)
	exec1(t, postgrestest.Open(t, p.URL), `GRANT ALL ON SCHEMA `+p.Name+` TO `+role)
	d := openURL(t, postgrestest.With(t, p.URL, "user", role))
	wantError(t, d.Migrate(t.Context()), nil)
	wantError(t, d.Migrate(t.Context()), nil)
}

// Another session holds locks on the tables.
func TestNothingToMigrateNeedsNoLock(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	_ = p.open(t)
	holder, err := postgrestest.Open(t, p.URL).BeginTx(t.Context(), nil)
	wantError(t, err, nil)
	defer func() { _ = holder.Rollback() }()
	_, err = holder.ExecContext(t.Context(), `LOCK TABLE dropgate_schema_version IN EXCLUSIVE MODE`)
	wantError(t, err, nil)
	_, err = holder.ExecContext(t.Context(), `SELECT pg_advisory_xact_lock(x'64726f7067617465'::bigint)`)
	wantError(t, err, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	wantError(t, p.openUnmigrated(t).Migrate(ctx), nil)
}

// migrateReplicas lets several replicas migrate and use an empty schema concurrently.
func migrateReplicas(t *testing.T, p postgres) {
	t.Helper()
	var replicas sync.WaitGroup
	for i := range 6 {
		d := p.openUnmigrated(t)
		replicas.Go(func() {
			for range 2 {
				if err := d.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := d.Link(t.Context(), fmt.Sprint("user ", i), customerNumber(i)); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	if n := len(listAll(t, p.open(t), 10)); n != 6 {
		t.Errorf("%d links, want 6", n)
	}
}

func TestPgBouncerDryRunFindsConflictsAcrossBatches(t *testing.T) {
	t.Parallel()
	p := newPostgres(t).bounced(t, 3)
	d := p.open(t)
	link(t, d, "ann", customerA)
	dry, err := d.DryImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer dry.Close()
	for i, rows := range [][]customerdb.LinkRow{
		{{UserID: "bob", CustomerID: customerB}},
		{{UserID: "bob", CustomerID: customerNumber(7)}, {UserID: "carol", CustomerID: customerB}, {UserID: "dave", CustomerID: customerA}},
	} {
		_, err := d.Customer(t.Context(), "ann") // on another server connection
		wantError(t, err, nil)
		got, err := dry.Add(t.Context(), rows)
		wantError(t, err, nil)
		if want := []int{0, 3}[i]; len(got.Conflicts) != want {
			t.Errorf("batch %d: %d conflicts, want %d", i, len(got.Conflicts), want)
		}
	}
}
