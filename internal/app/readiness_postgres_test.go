package app_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ownRole is a PostgreSQL role for this test only, with its own schema.
type ownRole struct {
	*sql.DB // another role, which may do everything

	name, schema, url string
}

func newOwnRole(t *testing.T) ownRole {
	t.Helper()
	at := postgresURL(t)
	newTools(t, at).good("link", "carol", alicesCustomer) // makes the tables
	parsed, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	schema := parsed.Query().Get("search_path")
	r := ownRole{schema: schema, name: strings.Replace(schema, "test", "role", 1)}
	if r.DB, err = sql.Open("pgx", at); err != nil {
		t.Fatal(err)
	}
	parsed.User = url.UserPassword(r.name, databasePassword)
	r.url = parsed.String()
	t.Cleanup(func() {
		for _, statement := range []string{`DROP OWNED BY ` + r.name, `DROP ROLE ` + r.name} {
			if _, err := r.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
				t.Error(err)
			}
		}
		_ = r.Close()
	})
	r.do(`CREATE ROLE `+r.name+` LOGIN PASSWORD '`+databasePassword+`'`,
		`GRANT USAGE ON SCHEMA `+schema+` TO `+r.name,
		`GRANT ALL ON ALL TABLES IN SCHEMA `+schema+` TO `+r.name)(t)
	return r
}

// do executes statements, and ends the role's connections.
func (r ownRole) do(statements ...string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, statement := range append(statements, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '`+r.name+`'`) {
			if _, err := r.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
}

func TestReadinessNamesPostgreSQLRefusals(t *testing.T) {
	for name, refusing := range map[string]func(r ownRole) refusal{
		"read-only": func(r ownRole) refusal {
			return refusal{
				r.do(`ALTER ROLE ` + r.name + ` SET default_transaction_read_only = on`),
				r.do(`ALTER ROLE ` + r.name + ` RESET default_transaction_read_only`), "postgres: read-only",
			}
		},
		"a privilege that only webhooks need": func(r ownRole) refusal {
			return refusal{
				r.do(`REVOKE INSERT ON dropgate_events FROM ` + r.name),
				r.do(`GRANT INSERT ON dropgate_events TO ` + r.name), "postgres: missing permission",
			}
		},
		"the schema": func(r ownRole) refusal {
			return refusal{
				r.do(`REVOKE USAGE ON SCHEMA ` + r.schema + ` FROM ` + r.name),
				r.do(`GRANT USAGE ON SCHEMA ` + r.schema + ` TO ` + r.name), "postgres: schema not up to date",
			}
		},
		"a table that is gone": func(r ownRole) refusal {
			return refusal{
				r.do(`ALTER TABLE dropgate_statuses RENAME TO elsewhere`),
				r.do(`ALTER TABLE elsewhere RENAME TO dropgate_statuses`), "postgres: schema not up to date",
			}
		},
		"rows that a policy refuses": func(r ownRole) refusal {
			return refusal{
				r.do(`ALTER TABLE dropgate_statuses ENABLE ROW LEVEL SECURITY`),
				r.do(`ALTER TABLE dropgate_statuses DISABLE ROW LEVEL SECURITY`), "postgres: missing permission",
			}
		},
		"no connections left": func(r ownRole) refusal {
			return refusal{
				r.do(`ALTER ROLE ` + r.name + ` CONNECTION LIMIT 0`),
				r.do(`ALTER ROLE ` + r.name + ` CONNECTION LIMIT -1`), "postgres: too many connections",
			}
		},
		"no login": func(r ownRole) refusal {
			return refusal{r.do(`ALTER ROLE ` + r.name + ` NOLOGIN`), r.do(`ALTER ROLE ` + r.name + ` LOGIN`), "postgres: authentication failed"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newOwnRole(t)
			s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": r.url, "DWOLLA_WEBHOOK_SECRET": webhookSecret})
			refusing(r).holds(t, s, "database")
			if said := s.admin(t, "/readyz").body; strings.Contains(said, r.name) {
				t.Errorf("readiness names the role: %s", said)
			}
		})
	}
}

// TestReadOnlyPostgreSQLHealsWithoutRestart: a former primary keeps its connections after
// a fail-over, and they stay read-only for ever. Only new ones reach the new primary.
func TestReadOnlyPostgreSQLHealsWithoutRestart(t *testing.T) {
	t.Parallel()
	r := newOwnRole(t)
	s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": r.url, "DWOLLA_WEBHOOK_SECRET": webhookSecret})
	refusal{
		r.do(`ALTER ROLE ` + r.name + ` SET default_transaction_read_only = on`),
		func(t *testing.T) {
			t.Helper()
			if _, err := r.ExecContext(t.Context(), `ALTER ROLE `+r.name+` RESET default_transaction_read_only`); err != nil {
				t.Fatal(err)
			}
		}, "postgres: read-only",
	}.holds(t, s, "database")
}

// ownPostgres is a PostgreSQL server for this test only, on a small disk.
type ownPostgres struct {
	disk, url string
	restart   func(t *testing.T)
}

func newOwnPostgres(t *testing.T) ownPostgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		skip(t, "initdb is not installed")
	}
	disk := smallDisk(t, "120m")
	data := filepath.Join(disk, "data")
	const nobody = 65534 // PostgreSQL refuses to run as root
	for _, path := range []string{disk, filepath.Dir(disk)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(disk, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	as := func(name string, args ...string) *exec.Cmd {
		program := filepath.Join(filepath.Dir(found[len(found)-1]), name)
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = disk
		return cmd
	}
	if said, err := as("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--wal-segsize=1").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, said)
	}
	port := freePort(t)
	server := func() *exec.Cmd {
		return as("postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", "", "-c", "shared_buffers=8MB", "-c", "max_wal_size=4MB", "-c", "fsync=off")
	}
	running := server()
	run(t, running)
	return ownPostgres{disk, "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable", func(t *testing.T) {
		t.Helper()
		_ = running.Process.Signal(syscall.SIGINT) // a fast shutdown
		_ = running.Wait()
		running = server()
		run(t, running)
	}}
}

func TestReadinessNamesFullPostgreSQLDisk(t *testing.T) {
	p := newOwnPostgres(t)
	s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": p.url})
	filler := filepath.Join(p.disk, "filler")
	refusal{
		func(t *testing.T) { t.Helper(); fill(t, filler) },
		func(*testing.T) { _ = os.Remove(filler) }, "postgres: disk full",
	}.holds(t, s, "database")
}

// TestReadinessNamesPostgreSQLRecovery: a standby answers every read.
func TestReadinessNamesPostgreSQLRecovery(t *testing.T) {
	p := newOwnPostgres(t)
	s := newFixture(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": p.url})
	signal := filepath.Join(p.disk, "data", "standby.signal")
	refusal{
		func(t *testing.T) {
			t.Helper()
			if err := os.WriteFile(signal, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			p.restart(t)
		},
		func(t *testing.T) { t.Helper(); _ = os.Remove(signal); p.restart(t) }, "postgres: read-only",
	}.holds(t, s, "database")
}
