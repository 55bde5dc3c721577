package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"dropgate/internal/clienttoken"
	"dropgate/internal/postgres"
	"dropgate/internal/postgres/postgrestest"
)

// openReadOnly opens a pool whose connections are read-only, like those to a former
// primary. The function promotes the server for new connections alone.
func openReadOnly(t *testing.T, connections int) (pool *sql.DB, promote func()) {
	t.Helper()
	schema := postgrestest.New(t)
	role := schema.Role(t, "")
	schema.Exec(t, `CREATE TABLE rows (id INTEGER)`)
	schema.Exec(t, `GRANT USAGE ON SCHEMA `+schema.Name+` TO `+role)
	schema.Exec(t, `GRANT ALL ON rows TO `+role)
	schema.Exec(t, `ALTER ROLE `+role+` SET default_transaction_read_only = on`)
	opened, err := postgres.Open(clienttoken.NewSecret(postgrestest.With(t, schema.URL, "user", role)), connections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened.DB, func() { schema.Exec(t, `ALTER ROLE `+role+` RESET default_transaction_read_only`) }
}

// backends returns the server processes of the pool's connections, which it opens all.
func backends(t *testing.T, pool *sql.DB) map[int]bool {
	t.Helper()
	all := map[int]bool{}
	for range pool.Stats().MaxOpenConnections {
		conn, err := pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		var pid int
		if err := conn.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		all[pid] = true
	}
	return all
}

func write(ctx context.Context, pool *sql.DB) error {
	_, err := pool.ExecContext(ctx, `INSERT INTO rows VALUES (1)`)
	return err
}

func TestPoolLeavesServerThatBecameReadOnly(t *testing.T) {
	pool, promote := openReadOnly(t, 4)
	old := backends(t, pool)
	if refused, ok := errors.AsType[*pgconn.PgError](write(t.Context(), pool)); !ok || refused.Code != "25006" {
		t.Fatalf("error %v, want a read-only transaction", refused)
	}
	promote()
	for deadline := time.Now().Add(30 * time.Second); write(t.Context(), pool) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the pool still writes to the old server")
		}
	}
	for pid := range backends(t, pool) {
		if old[pid] {
			t.Errorf("the pool still reads from the old server (process %d)", pid)
		}
	}
}

func TestPoolReplacesReadOnlyConnectionsOncePerSecond(t *testing.T) {
	pool, _ := openReadOnly(t, 1)
	began, seen := time.Now(), map[int]bool{}
	for time.Since(began) < 3*time.Second {
		if write(t.Context(), pool) == nil {
			t.Fatal("the server is not read-only")
		}
		for pid := range backends(t, pool) {
			seen[pid] = true
		}
	}
	if most := int(time.Since(began)/time.Second) + 1; len(seen) < 2 || len(seen) > most {
		t.Errorf("%d connections in %s, want 2 to %d", len(seen), time.Since(began), most)
	}
}
