package customer_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// bouncerPath is where Debian installs PgBouncer, which is not in every PATH.
const bouncerPath = "/usr/sbin/pgbouncer"

func bouncerBinary(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"pgbouncer", bouncerPath} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("PgBouncer is not installed")
	}
	tb.Skip("PgBouncer is not installed")
	return ""
}

// bounced returns the schema's database behind a PgBouncer that pools transactions
// over so many server connections, and uses another one for each transaction.
func (p postgres) bounced(tb testing.TB, connections int) postgres {
	tb.Helper()
	binary := bouncerBinary(tb)
	target, err := pgx.ParseConfig(p.url)
	if err != nil {
		tb.Fatal(err)
	}
	password := ""
	if target.Password != "" {
		password = " password='" + target.Password + "'"
	}
	port := freePort(tb)
	config := fmt.Sprintf(`[databases]
dropgate = host=%s port=%d dbname=%s user=%s%s connect_query='SET search_path TO %s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = %d
max_client_conn = 500
`, target.Host, target.Port, target.Database, target.User, password, p.name, port, connections)
	ended := startBouncer(tb, binary, config)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	awaitListener(tb, address, ended)
	through := url.URL{Scheme: "postgres", User: url.User("anybody"), Host: address, Path: "/dropgate", RawQuery: "sslmode=disable"}
	return postgres{name: p.name, url: through.String()}
}

// startBouncer runs PgBouncer. It refuses to run as root, so root runs it as nobody.
// The channel is closed when it ends.
func startBouncer(tb testing.TB, binary, config string) <-chan struct{} {
	tb.Helper()
	dir, err := os.MkdirTemp("", "dropgate-pgbouncer-") //nolint:usetesting // tb.TempDir is closed to other users
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), binary, file)
	if os.Geteuid() == 0 {
		const nobody = 65534
		for _, path := range []string{dir, file} {
			if err := os.Chown(path, nobody, nobody); err != nil {
				tb.Fatal(err)
			}
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if tb.Failed() {
			tb.Log("PgBouncer:", said.String())
		}
	})
	return ended
}

func freePort(tb testing.TB) int {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatal(listener.Addr())
	}
	return address.Port
}

func awaitListener(tb testing.TB, address string, ended <-chan struct{}) {
	tb.Helper()
	patience := time.After(10 * time.Second)
	for {
		conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ended:
			tb.Fatalf("the process for %s has ended", address)
		case <-patience:
			tb.Fatalf("nothing listens at %s: %v", address, err)
		}
	}
}

func TestPgBouncerKeepsThePromisesOfADatabase(t *testing.T) {
	t.Parallel()
	testDatabase(t, func(tb testing.TB) func() *customer.Database {
		tb.Helper()
		p := newPostgres(tb).bounced(tb, 4)
		return func() *customer.Database { return p.open(tb) }
	})
}

func TestPgBouncerWithOneConnectionMigratesReplicas(t *testing.T) {
	t.Parallel()
	migrateReplicas(t, newPostgres(t).bounced(t, 1))
}

func TestMigrationsNeedOneConnection(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	role := p.role(t, `CONNECTION LIMIT 1`)
	exec1(t, other(t, p.url), `GRANT ALL ON SCHEMA `+p.name+` TO `+role)
	d := openURL(t, with(t, p.url, "user", role))
	wantError(t, d.Migrate(t.Context()), nil)
	wantError(t, d.Migrate(t.Context()), nil)
}

// Whoever holds every table does not keep a replica from starting.
func TestNothingToMigrateNeedsNoLock(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	_ = p.open(t)
	holder, err := other(t, p.url).BeginTx(t.Context(), nil)
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

// migrateReplicas lets several replicas migrate and use an empty schema at once.
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

func TestPgBouncerTakesQueries(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	app.postgres = app.bounced(t, 3)
	for statement, user := range map[string]string{
		byID: "ann",
		`SELECT number, customer FROM users WHERE number = $1::bigint`: "1",
		`SELECT number, customer FROM users WHERE number = $1`:         "1",
		`SELECT uid, customer FROM users WHERE uid = $1`:               "11111111-1111-4111-8111-11111111abcd",
	} {
		q := newQuery(t, app.url, statement)
		wantError(t, q.Check(t.Context()), nil)
		asked := make(chan error, 40)
		for range cap(asked) {
			go func() {
				got, err := q.Customer(t.Context(), clienttoken.User{ID: user})
				if err == nil && got.ID() != customerA {
					err = fmt.Errorf("Customer %s", got.ID())
				}
				asked <- err
			}()
		}
		for range cap(asked) {
			if err := <-asked; err != nil {
				t.Errorf("%q: %v", statement, err)
			}
		}
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
	for i, rows := range [][]customer.Link{
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
