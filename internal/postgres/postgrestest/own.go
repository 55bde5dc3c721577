package postgrestest

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dropgate/internal/tcpproxy"
)

// OwnServer starts a PostgreSQL server of the test's own, which asks for passwords
// (SCRAM), and returns the superuser's URL.
func OwnServer(tb testing.TB) string {
	tb.Helper()
	initdb := initdbBinary(tb)
	dir, err := os.MkdirTemp("", "dropgate-postgres-") //nolint:usetesting // tb.TempDir is closed to other users
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	password, file := rand.Text(), filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		tb.Fatal(err)
	}
	as := unprivileged(tb, dir, file)
	data := filepath.Join(dir, "data")
	if said, err := as(initdb, "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", file, "-N").CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, said)
	}
	address := tcpproxy.FreeAddr(tb)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		tb.Fatal(err)
	}
	server := as(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", "", "-c", "fsync=off")
	ended := startServer(tb, server)
	awaitListener(tb, address, ended)
	at := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Host: address, Path: "/postgres", RawQuery: "sslmode=disable"}
	return at.String()
}

func initdbBinary(tb testing.TB) string {
	tb.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return found[len(found)-1]
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("initdb is not installed")
	}
	tb.Skip("initdb is not installed")
	return ""
}

// unprivileged returns commands that run as user 65534 if the tests run as root, which
// PostgreSQL refuses. The user gets these files.
func unprivileged(tb testing.TB, dir string, files ...string) func(program string, args ...string) *exec.Cmd {
	tb.Helper()
	const nobody = 65534
	root := os.Geteuid() == 0
	for _, path := range append(files, dir) {
		if !root {
			break
		}
		if err := os.Chown(path, nobody, nobody); err != nil {
			tb.Fatal(err)
		}
	}
	return func(program string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), program, args...) //nolint:gosec // PostgreSQL, for tests
		cmd.Dir = dir
		if root {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		return cmd
	}
}

// startServer runs a server until the test ends. The channel closes when it ends.
func startServer(tb testing.TB, cmd *exec.Cmd) <-chan struct{} {
	tb.Helper()
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
		_ = cmd.Process.Signal(syscall.SIGINT) // a fast shutdown, which ends its processes
		<-ended
		if tb.Failed() {
			tb.Log("PostgreSQL:", said.String())
		}
	})
	return ended
}
