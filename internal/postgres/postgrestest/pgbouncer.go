package postgrestest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"dropgate/internal/tcpproxy"
)

// bouncerPath is where Debian installs PgBouncer. Not every PATH holds it.
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

// BehindPgBouncer returns the schema behind PgBouncer in transaction mode with so many
// server connections. PgBouncer uses the next one for each transaction.
func (s Schema) BehindPgBouncer(tb testing.TB, connections int) Schema {
	tb.Helper()
	binary := bouncerBinary(tb)
	target, err := pgx.ParseConfig(s.URL)
	if err != nil {
		tb.Fatal(err)
	}
	password := ""
	if target.Password != "" {
		password = " password='" + target.Password + "'"
	}
	address := tcpproxy.FreeAddr(tb)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		tb.Fatal(err)
	}
	config := fmt.Sprintf(`[databases]
dropgate = host=%s port=%d dbname=%s user=%s%s connect_query='SET search_path TO %s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = %d
max_client_conn = 500
`, target.Host, target.Port, target.Database, target.User, password, s.Name, port, connections)
	ended := startBouncer(tb, binary, config)
	awaitListener(tb, address, ended)
	through := url.URL{Scheme: "postgres", User: url.User("anybody"), Host: address, Path: "/dropgate", RawQuery: "sslmode=disable"}
	return Schema{Name: s.Name, URL: through.String()}
}

// startBouncer runs PgBouncer, as user 65534 if the tests run as root. The channel
// closes when it ends.
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
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), binary, file) //nolint:gosec // PgBouncer, for tests
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
