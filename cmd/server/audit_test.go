package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

// gate is the real binary with an emulated Dwolla and an identity provider.
type gate struct {
	*exec.Cmd

	t      *testing.T
	public string
	admin  string
	token  string // alice's bearer token
	ended  chan struct{}
	pipe   *os.File // its standard output
}

// startGate starts the binary. Its first line has been read from the pipe.
func startGate(t *testing.T, binary string, settings ...string) *gate {
	t.Helper()
	const customer = "707177c3-bf15-4e7e-b37c-55c3898d9bf4"
	dwolla := dwollatest.New(t, emulator.Options{})
	dwolla.Customer(emulator.Customer{ID: customer})
	idp := oidctest.New(t, provider.Options{Users: map[string]map[string]any{"alice": {"dwolla_customer": customer}}})
	g := &gate{Cmd: exec.CommandContext(t.Context(), binary), t: t, ended: make(chan struct{}), token: idp.Bearer("alice")}
	g.Env = append(os.Environ(),
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID="+dwollatest.ClientID, "DWOLLA_CLIENT_SECRET="+dwollatest.ClientSecret, "DWOLLA_BASE_URL="+dwolla.URL,
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer", "AUTH_BEARER_ISSUER="+idp.Issuer, "AUTH_BEARER_AUDIENCE="+oidctest.Audience,
		"CUSTOMER_SOURCE=claim", "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=0s", "SHUTDOWN_TIMEOUT=1s",
		"RATE_LIMIT_USER=off", "RATE_LIMIT_IP=off",
	)
	g.Env = append(g.Env, settings...)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	g.pipe, g.Stdout = read, write
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	go func() {
		_ = g.Wait() // 1 when requests were cut
		close(g.ended)
	}()
	t.Cleanup(func() { _ = g.Process.Kill() })
	line, err := bufio.NewReaderSize(read, 16).ReadString('\n')
	var listening struct {
		HTTPAddr  string `json:"http_addr"`
		AdminAddr string `json:"admin_addr"`
	}
	if err != nil || json.Unmarshal([]byte(line), &listening) != nil || listening.AdminAddr == "" {
		t.Fatalf("first line %q, error %v", line, err)
	}
	g.public, g.admin = "http://"+listening.HTTPAddr, "http://"+listening.AdminAddr
	g.until("it is ready", func() bool {
		status, _ := g.get("/readyz")
		return status == http.StatusOK || len(settings) > 0 && strings.Contains(settings[0], "/dev/full")
	})
	return g
}

// drain reads the standard output from now on.
func (g *gate) drain() { go func() { _, _ = io.Copy(io.Discard, g.pipe) }() }

// reply is an answer of the server.
type reply struct {
	status  int
	header  http.Header
	content string
}

func (g *gate) do(method, url, body string) reply {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+g.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// get asks the admin listener.
func (g *gate) get(path string) (int, string) {
	g.t.Helper()
	got := g.do(http.MethodGet, g.admin+path, "")
	return got.status, got.content
}

// vend returns the status of a vend. An outage names its end, and has no token.
func (g *gate) vend() int {
	g.t.Helper()
	got := g.do(http.MethodPost, g.public+"/client-tokens", `{"action":"customer.read"}`)
	if got.status == http.StatusServiceUnavailable && (got.header.Get("Retry-After") == "" || strings.Contains(got.content, `"token"`)) {
		g.t.Errorf("an outage with %v and %s", got.header, got.content)
	}
	return got.status
}

func (g *gate) until(what string, done func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("never: %s", what)
		}
	}
}

// isBroken waits until vends are outages, and checks that the probes say why.
func (g *gate) isBroken() {
	g.t.Helper()
	g.until("a vend is an outage", func() bool { return g.vend() == http.StatusServiceUnavailable })
	if status, content := g.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(content, `"reason":"audit: `) {
		g.t.Errorf("readyz: %d %s", status, content)
	}
	if _, content := g.get("/metrics"); !strings.Contains(content, "dropgate_audit_failures_total") || strings.Contains(content, "dropgate_audit_failures_total 0") {
		g.t.Error("the failure is not counted")
	}
}

func (g *gate) heals() {
	g.t.Helper()
	g.until("it is ready again", func() bool { status, _ := g.get("/readyz"); return status == http.StatusOK })
	if status := g.vend(); status != http.StatusOK {
		g.t.Errorf("a vend is answered with %d", status)
	}
}

// ends sends SIGTERM, which ends the process within its limits.
func (g *gate) ends() {
	g.t.Helper()
	if err := g.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
	select {
	case <-g.ended:
	case <-time.After(6 * time.Second): // SHUTDOWN_TIMEOUT and the reserve
		g.t.Error("SIGTERM does not end the process")
	}
}

// namedPipe is a pipe with a name, and its reader, with little room.
func namedPipe(t *testing.T) (path string, reader *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	return path, openReader(t, path)
}

func openReader(t *testing.T, path string) *os.File {
	t.Helper()
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	small(t, reader)
	return reader
}

// small leaves a pipe room for one page.
func small(t *testing.T, pipe *os.File) {
	t.Helper()
	const setSize, page = 1031, 4096 // F_SETPIPE_SZ
	conn, err := pipe.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) { _, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, setSize, page) })
}

func TestBrokenAuditFileStopsVendsUntilFixed(t *testing.T) {
	path, reader := namedPipe(t)
	g := startGate(t, buildServer(t), "AUDIT_LOG="+path)
	g.drain()
	if status := g.vend(); status != http.StatusOK {
		t.Fatalf("a vend is answered with %d", status)
	}
	_ = reader.Close()
	g.isBroken()
	reader = openReader(t, path)
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	g.heals()
	g.ends()
}

func TestStuckAuditFileStopsVendsUntilFixed(t *testing.T) {
	path, reader := namedPipe(t)
	g := startGate(t, buildServer(t), "AUDIT_LOG="+path)
	g.drain()
	g.isBroken() // once the pipe is full
	var got bytes.Buffer
	buffer := make([]byte, 64<<10)
	g.until("the entry of the token that was dropped is withdrawn", func() bool {
		n, _ := reader.Read(buffer)
		got.Write(buffer[:n])
		return strings.Contains(got.String(), `"outcome":"withdrawn"`)
	})
	g.heals()
	g.isBroken()
	g.ends()
}

func TestStuckStandardOutputStopsOnlyVends(t *testing.T) {
	g := startGate(t, buildServer(t))
	small(t, g.pipe)
	g.isBroken()
	g.ends()
}

func TestUnreadLogStopsNoVend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	g := startGate(t, buildServer(t), "AUDIT_LOG="+path)
	small(t, g.pipe)
	_ = g.pipe.Close()
	vended := 0
	for range 50 {
		if g.vend() == http.StatusOK {
			vended++
		}
	}
	g.until("the dropped lines are counted", func() bool {
		_, content := g.get("/metrics")
		return strings.Contains(content, "dropgate_log_lines_dropped_total") && !strings.Contains(content, "dropgate_log_lines_dropped_total 0")
	})
	status, content := g.get("/readyz")
	if status != http.StatusOK || !strings.Contains(content, `"what":"log"`) {
		t.Errorf("readyz: %d %s", status, content)
	}
	text, err := os.ReadFile(path)
	if got := strings.Count(string(text), `"outcome":"vended"`); vended != 50 || got != 50 || err != nil {
		t.Errorf("%d of 50 vends, %d entries, error %v", vended, got, err)
	}
	g.ends()
}

func TestFullDiskAtStartIsNotReady(t *testing.T) {
	if _, err := os.Stat("/dev/full"); errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	g := startGate(t, buildServer(t), "AUDIT_LOG=/dev/full")
	g.drain()
	g.isBroken()
	g.ends()
}

func TestUnopenableAuditFileFailsStart(t *testing.T) {
	server := exec.CommandContext(t.Context(), buildServer(t))
	server.Env = append(os.Environ(),
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=secret", "ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer",
		"AUTH_BEARER_ISSUER=http://127.0.0.1:1", "AUTH_BEARER_AUDIENCE=dropgate", "CUSTOMER_SOURCE=claim", "AUDIT_LOG="+t.TempDir()+"/no/such/folder",
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
	)
	out, err := server.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "AUDIT_LOG: ") {
		t.Errorf("error %v: %s", err, out)
	}
}
