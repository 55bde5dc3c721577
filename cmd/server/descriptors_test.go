package main_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCallersCannotUseUpFileDescriptors runs the real binary with few descriptors, and
// opens more connections than that.
func TestCallersCannotUseUpFileDescriptors(t *testing.T) {
	server := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -n 128 && exec "$0"`, buildServer(t))
	server.Env = append(os.Environ(),
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=secret", "DWOLLA_BASE_URL=http://127.0.0.1:1",
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer", "AUTH_BEARER_ISSUER=http://127.0.0.1:1",
		"AUTH_BEARER_AUDIENCE=dropgate", "CUSTOMER_SOURCE=claim",
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=0s",
	)
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	lines := bufio.NewScanner(stdout)
	var first struct {
		HTTPAddr       string `json:"http_addr"`
		AdminAddr      string `json:"admin_addr"`
		Descriptors    int    `json:"file_descriptors"`
		MaxConnections int    `json:"max_connections"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &first) != nil || first.Descriptors != 128 || first.MaxConnections != 48 {
		t.Fatalf("first line %s", lines.Text())
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), "ulimit -n") || !strings.Contains(lines.Text(), `"level":"warn"`) {
		t.Errorf("second line %s, want a warning about the limit", lines.Text())
	}
	go func() {
		for lines.Scan() { // so that the log never blocks
			continue
		}
	}()
	connect(t, first.HTTPAddr, 300)
	if _, err := body(t, "http://"+first.HTTPAddr+"/openapi.yaml"); err != nil {
		t.Errorf("a caller with a request: %v", err)
	}
	metrics, err := body(t, "http://"+first.AdminAddr+"/metrics")
	if err != nil {
		t.Fatalf("the admin listener: %v", err)
	}
	for _, want := range []string{
		`dropgate_connections_open{listener="public"} 48`, `dropgate_connections_max{listener="public"} 48`,
		`dropgate_connections_evicted_total{listener="public"} 2`, "process_max_fds 128",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func body(t *testing.T, url string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// connect opens connections and sends nothing.
func connect(t *testing.T, addr string, n int) {
	t.Helper()
	for range n {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}
