package main_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSecondSIGTERMCutsRequestsAndCountsThem, in the real binary.
func TestSecondSIGTERMCutsRequestsAndCountsThem(t *testing.T) {
	server := exec.CommandContext(t.Context(), buildServer(t))
	server.Env = append(os.Environ(),
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=secret", "DWOLLA_BASE_URL=http://127.0.0.1:1",
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer", "AUTH_BEARER_ISSUER=http://127.0.0.1:1", "AUTH_BEARER_AUDIENCE=dropgate",
		"CUSTOMER_SOURCE=database", "DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "links.db"), "DWOLLA_WEBHOOK_SECRET="+webhookSecret,
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=1m",
	)
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill() }()
	lines := bufio.NewScanner(stdout)
	line := func(saying string) map[string]any { return next(t, lines, saying) }
	listening := line("listening")
	admin, _ := listening["admin_addr"].(string)
	public, _ := listening["http_addr"].(string)
	hangOn(t, public, admin)

	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	line("no longer ready")
	began := time.Now()
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// What was cut leaves its line, and then it is counted.
	if access := line(`"log":"access"`); access["route"] != "/webhooks/dwolla" {
		t.Errorf("access line of what was cut: %v", access)
	}
	if cut := line("requests_cut"); cut["requests_cut"] != float64(1) || cut["level"] != "error" || cut["reason"] != "a second signal" {
		t.Errorf("the log counts %v", cut)
	}
	_, _ = io.Copy(io.Discard, stdout)
	var ended *exec.ExitError
	if err := server.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 1 {
		t.Errorf("the server ended with %v, want exit code 1", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// next returns the next log line with a message.
func next(t *testing.T, lines *bufio.Scanner, something string) map[string]any {
	t.Helper()
	for lines.Scan() {
		var found map[string]any
		if json.Unmarshal(lines.Bytes(), &found) == nil && strings.Contains(lines.Text(), something) {
			return found
		}
	}
	t.Fatalf("no line says %q", something)
	return nil
}

// hangOn sends a request without its body, and waits until it is under way.
func hangOn(t *testing.T, public, admin string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", public)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "POST /webhooks/dwolla HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"X-Request-Signature-SHA-256: "+strings.Repeat("0", 64)+"\r\nContent-Length: 10\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if strings.Contains(string(text), "dropgate_http_requests_in_flight 1\n") {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the request is not under way: %v", err)
		}
	}
}
