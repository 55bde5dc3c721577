package main_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// aContainersUser is the user of the image. A test as root becomes it, since root may
// read and write everything.
const aContainersUser = 65532

// buildForAll builds the binary where every user can run it.
func buildForAll(t *testing.T) string {
	t.Helper()
	binary := buildServer(t)
	allow(t, filepath.Dir(binary), 0o755)
	return binary
}

// startFails runs the binary as a user without rights, and returns its exit code and
// what it says before it ends.
func startFails(t *testing.T, binary string, environ ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	server := exec.CommandContext(ctx, binary)
	server.Env = append([]string{
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=secret", "DWOLLA_BASE_URL=http://127.0.0.1:1",
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=forward", "AUTH_FORWARD_URL=http://127.0.0.1:1",
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=0s",
	}, environ...)
	if os.Getuid() == 0 {
		server.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: aContainersUser, Gid: aContainersUser}}
	}
	out, err := server.CombinedOutput()
	failed, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("the server ended with %v: %s", err, out)
	}
	return failed.ExitCode(), string(out)
}

// openFolder makes a folder that every user may enter, below such folders.
func openFolder(t *testing.T, mode os.FileMode) string {
	t.Helper()
	folder := t.TempDir()
	allow(t, folder, mode)
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) }) // so that it can be removed
	return folder
}

// allow lets every user enter a folder of t.TempDir, whose parent is closed.
func allow(t *testing.T, folder string, mode os.FileMode) {
	t.Helper()
	for path, mode := range map[string]os.FileMode{filepath.Dir(folder): 0o755, folder: mode} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStartNamesWhatItsUserCannotWrite(t *testing.T) {
	binary := buildForAll(t)
	closed, open := openFolder(t, 0o555), openFolder(t, 0o777)
	file := filepath.Join(open, "links.db")
	if err := os.WriteFile(file, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	user := os.Getuid()
	if user == 0 {
		user = aContainersUser
	}
	for name, c := range map[string]struct{ path, says string }{
		"a folder of another user": {filepath.Join(closed, "links.db"), fmt.Sprintf("user %d of group", user)},
		"the folder is named":      {filepath.Join(closed, "links.db"), fmt.Sprintf("cannot write to the folder %q: make it writable for this user", closed)},
		"a file of another user":   {file, fmt.Sprintf("cannot write to the file %q", file)},
		"no folder":                {filepath.Join(open, "none", "links.db"), fmt.Sprintf("there is no folder %q: create it, or mount a volume there", filepath.Join(open, "none"))},
	} {
		code, out := startFails(t, binary, "DATABASE_URL=sqlite:"+c.path)
		if code != 1 || !strings.Contains(out, c.says) || strings.Contains(out, "listening") {
			t.Errorf("%s: exit code %d and %s, want %s", name, code, out, c.says)
		}
	}
}

func TestStartNamesTheSecretItCannotRead(t *testing.T) {
	binary := buildForAll(t)
	file := filepath.Join(openFolder(t, 0o755), "redis-url")
	if err := os.WriteFile(file, []byte("redis://127.0.0.1:1"), 0o000); err != nil {
		t.Fatal(err)
	}
	code, out := startFails(t, binary, "REDIS_URL_FILE="+file)
	if code != 2 || !strings.Contains(out, "REDIS_URL_FILE: open "+file) || !strings.Contains(out, "must be able to read it") {
		t.Errorf("exit code %d and %s", code, out)
	}
}

func TestStartNamesThePortInUse(t *testing.T) {
	binary := buildForAll(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	database := "DATABASE_URL=sqlite:" + filepath.Join(openFolder(t, 0o777), "links.db")
	for _, name := range []string{"HTTP_ADDR", "ADMIN_ADDR"} {
		code, out := startFails(t, binary, name+"="+taken.Addr().String(), database)
		if code != 1 || !strings.Contains(out, name+": ") || !strings.Contains(out, "another program uses this port") {
			t.Errorf("%s: exit code %d and %s", name, code, out)
		}
	}
}
