package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// refusal is a store that goes on answering, and refuses work from begin to end.
type refusal struct {
	begin, end func(t *testing.T)
	reason     string // what readiness says
}

// holds starts with a good store and plays the refusal: readiness names the store
// and the reason, and the log has one line for the beginning and one for the end.
func (r refusal) holds(t *testing.T, s *service, what string) {
	t.Helper()
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	r.begin(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("in the end:", s.admin(t, "/readyz").body)
		}
	})
	until(t, "readiness names "+r.reason, func() bool { return s.whyMissing(t)[what] == r.reason })
	if got := s.admin(t, "/readyz"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, `"reason":"`+what+": "+r.reason) {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
	missing, found := `"missing":"`+what+`","reason":"`+r.reason, `"found":"`+what+`"`
	until(t, "the line that it is missing", func() bool { return strings.Contains(s.logs.String(), missing) })
	r.end(t)
	until(t, "readiness afterwards", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	until(t, "the line that it is there again", func() bool { return strings.Contains(s.logs.String(), found) })
	for _, line := range []string{missing, found} {
		if n := strings.Count(s.logs.String(), line); n != 1 {
			t.Errorf("%d lines with %s:\n%s", n, line, s.logs)
		}
	}
}

// whyMissing is what readiness says of each thing that is missing.
func (s *service) whyMissing(t *testing.T) map[string]string {
	t.Helper()
	var said struct {
		Missing []struct{ What, Reason string }
	}
	if err := json.Unmarshal([]byte(s.admin(t, "/readyz").body), &said); err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, m := range said.Missing {
		why[m.What] = m.Reason
	}
	return why
}

// ownRedis is a Redis that a test may do anything to.
type ownRedis struct {
	*redis.Client

	url, dir string
}

func newOwnRedis(t *testing.T, options ...string) ownRedis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	port := freePort(t)
	dir := t.TempDir()
	run(t, exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", append([]string{ //nolint:gosec // a port of ours
		"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "3600 1", "--appendonly", "no",
	}, options...)...))
	address := net.JoinHostPort("127.0.0.1", port)
	// One connection, which keeps its permissions.
	client := redis.NewClient(&redis.Options{Addr: address, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	until(t, "a Redis of our own", func() bool { return client.Info(t.Context()).Err() == nil })
	return ownRedis{client, "redis://" + address, dir}
}

// do runs commands, one line each.
func (r ownRedis) do(commands ...string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, command := range commands {
			var args []any
			for _, word := range strings.Fields(command) {
				args = append(args, word)
			}
			if err := r.Do(t.Context(), args...).Err(); err != nil {
				t.Fatalf("%s: %v", command, err)
			}
		}
	}
}

// snapshot tries to write one until it ends as wanted.
func (r ownRedis) snapshot(t *testing.T, want string) {
	t.Helper()
	until(t, "a snapshot", func() bool {
		_ = r.BgSave(t.Context()).Err() // one may be under way
		info, err := r.Info(t.Context(), "persistence").Result()
		return err == nil && strings.Contains(info, "rdb_last_bgsave_status:"+want)
	})
}

// run starts a process that ends with the test.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestARedisThatRefusesWorkIsNamed(t *testing.T) {
	for name, refusing := range map[string]func(r ownRedis) refusal{
		"read-only": func(r ownRedis) refusal {
			return refusal{r.do("REPLICAOF 127.0.0.1 1"), r.do("REPLICAOF NO ONE"), "redis: read-only"}
		},
		"full": func(r ownRedis) refusal {
			return refusal{r.do("CONFIG SET maxmemory 1"), r.do("CONFIG SET maxmemory 0"), "redis: out of memory"}
		},
		"no snapshot": func(r ownRedis) refusal {
			file := filepath.Join(r.dir, "dump.rdb")
			return refusal{
				func(t *testing.T) {
					t.Helper()
					if err := errors.Join(os.RemoveAll(file), os.Mkdir(file, 0o700)); err != nil {
						t.Fatal(err)
					}
					r.snapshot(t, "err")
				},
				func(t *testing.T) { t.Helper(); _ = os.RemoveAll(file); r.snapshot(t, "ok") },
				"redis: cannot write its snapshot",
			}
		},
		"no permission for a command": func(r ownRedis) refusal {
			return refusal{r.do("ACL SETUSER default -zadd"), r.do("ACL SETUSER default +zadd"), "redis: missing permission"}
		},
		"no permission for scripts": func(r ownRedis) refusal {
			return refusal{r.do("ACL SETUSER default -evalsha"), r.do("ACL SETUSER default +evalsha"), "redis: missing permission"}
		},
		"no permission for some keys": func(r ownRedis) refusal {
			return refusal{r.do("ACL SETUSER default resetkeys ~dropgate:session:*"), r.do("ACL SETUSER default allkeys"), "redis: missing permission"}
		},
		"too few replicas": func(r ownRedis) refusal {
			return refusal{r.do("CONFIG SET min-replicas-to-write 1"), r.do("CONFIG SET min-replicas-to-write 0"), "redis: too few replicas"}
		},
		"another password": func(r ownRedis) refusal {
			return refusal{
				r.do("ACL SETUSER default resetpass >the-next-secret", "CLIENT KILL TYPE normal SKIPME yes"),
				r.do("ACL SETUSER default nopass"), "redis: authentication failed",
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newOwnRedis(t)
			s := newSite(t, 1, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": r.url}).replicas[0]
			refusing(r).holds(t, s, "session store")
		})
	}
}

func TestARedisThatNeverFitsIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		options []string
		path    string
		setUp   string
		reason  string
	}{
		"a cluster without slots": {options: []string{"--cluster-enabled", "yes"}, reason: "redis: cluster down"},
		"a cluster":               {options: []string{"--cluster-enabled", "yes"}, setUp: "CLUSTER ADDSLOTSRANGE 0 16383", reason: "redis: Redis Cluster is not supported"},
		"no such database":        {path: "/99", reason: "redis: database not found"},
		"a wrong password":        {options: []string{"--requirepass", "the-right-secret"}, reason: "redis: authentication failed"},
		"a replica of nothing":    {options: []string{"--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no"}, reason: "redis: replica without its primary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			run(t, exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", append([]string{ //nolint:gosec // a port of ours
				"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "",
			}, c.options...)...))
			if c.setUp != "" {
				client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, DialerRetries: 1})
				defer func() { _ = client.Close() }()
				until(t, c.setUp, func() bool {
					return client.Do(t.Context(), strings.Split(c.setUp, " ")[0], strings.Split(c.setUp, " ")[1], 0, 16383).Err() == nil
				})
			}
			s := newSite(t, 1, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": "redis://127.0.0.1:" + port + c.path}).replicas[0]
			until(t, c.reason, func() bool { return s.whyMissing(t)["session store"] == c.reason })
		})
	}
}

// ownRole is a role of PostgreSQL that a test may do anything to, with the tables in
// a schema of its own.
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

func TestAPostgreSQLThatRefusesWorkIsNamed(t *testing.T) {
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
			s := newWorld(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": r.url, "DWOLLA_WEBHOOK_SECRET": webhookSecret})
			refusing(r).holds(t, s, "database")
			if said := s.admin(t, "/readyz").body; strings.Contains(said, r.name) {
				t.Errorf("readiness names the role: %s", said)
			}
		})
	}
}

// smallDisk is a file system of a test's own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room on the disk of a folder.
func fill(t *testing.T, file string) {
	t.Helper()
	out, err := os.Create(file) //nolint:gosec // a file of ours
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	if _, err := io.Copy(out, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v, want ENOSPC", err)
	}
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestASQLiteThatRefusesWorkIsNamed(t *testing.T) {
	for name, refusing := range map[string]func(t *testing.T, file string) refusal{
		"a full disk": func(_ *testing.T, file string) refusal {
			filler := filepath.Join(filepath.Dir(file), "filler")
			return refusal{
				func(t *testing.T) { t.Helper(); fill(t, filler) },
				func(*testing.T) { _ = os.Remove(filler) }, "sqlite: disk full",
			}
		},
		"a file that is gone": func(_ *testing.T, file string) refusal {
			return refusal{
				func(*testing.T) { _ = os.Rename(file, file+".old") },
				func(*testing.T) { _ = os.Rename(file+".old", file) }, "sqlite: file removed or replaced",
			}
		},
		"another process that keeps it locked": func(t *testing.T, file string) refusal {
			t.Helper()
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close(); _ = db.Close() })
			do := func(statement string) func(*testing.T) {
				return func(t *testing.T) {
					t.Helper()
					if _, err := conn.ExecContext(t.Context(), statement); err != nil {
						t.Fatal(err)
					}
				}
			}
			return refusal{do(`BEGIN IMMEDIATE`), do(`ROLLBACK`), "sqlite: busy"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(smallDisk(t, "4m"), "links.db")
			s := newWorld(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:" + file})
			refusing(t, file).holds(t, s, "database")
			s.stop()
			<-s.done
		})
	}
}

// ownPostgres is a server on a small disk that a test may do anything to.
type ownPostgres struct {
	disk, url string
	restart   func(t *testing.T)
}

func newOwnPostgres(t *testing.T) ownPostgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Skip("there is no initdb")
	}
	disk := smallDisk(t, "120m")
	data := filepath.Join(disk, "data")
	const nobody = 65534 // PostgreSQL refuses to run as root
	for _, path := range []string{disk, filepath.Dir(disk)} {
		if err := os.Chmod(path, 0o755); err != nil { //nolint:gosec // for the server's user to pass
			t.Fatal(err)
		}
	}
	if err := os.Chown(disk, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	as := func(name string, args ...string) *exec.Cmd {
		program := filepath.Join(filepath.Dir(found[len(found)-1]), name)
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) //nolint:gosec // a server's own
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

func TestAPostgreSQLOnAFullDiskIsNamed(t *testing.T) {
	p := newOwnPostgres(t)
	s := newWorld(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": p.url})
	filler := filepath.Join(p.disk, "filler")
	refusal{
		func(t *testing.T) { t.Helper(); fill(t, filler) },
		func(*testing.T) { _ = os.Remove(filler) }, "postgres: disk full",
	}.holds(t, s, "database")
}

// A standby that nobody has promoted yet answers all that only reads.
func TestAPostgreSQLInRecoveryIsNamed(t *testing.T) {
	p := newOwnPostgres(t)
	s := newWorld(t).start(t, map[string]string{"CUSTOMER_SOURCE": "database", "DATABASE_URL": p.url})
	signal := filepath.Join(p.disk, "data", "standby.signal")
	refusal{
		func(t *testing.T) {
			t.Helper()
			if err := os.WriteFile(signal, nil, 0o644); err != nil { //nolint:gosec // for the server's user to read
				t.Fatal(err)
			}
			p.restart(t)
		},
		func(t *testing.T) { t.Helper(); _ = os.Remove(signal); p.restart(t) }, "postgres: read-only",
	}.holds(t, s, "database")
}
