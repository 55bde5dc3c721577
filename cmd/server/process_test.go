package main_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestBinaryServesUntilSIGTERM builds the real binary, with the version as a
// release has it, and ends it as Kubernetes does.
func TestBinaryServesUntilSIGTERM(t *testing.T) {
	binary := buildServer(t, "-ldflags", "-X main.version=v9.8.7 -X main.commit=0123abc")
	server := exec.CommandContext(t.Context(), binary)
	server.Env = append(os.Environ(),
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=secret", "DWOLLA_BASE_URL=http://127.0.0.1:1",
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer", "AUTH_BEARER_ISSUER=http://127.0.0.1:1",
		"AUTH_BEARER_AUDIENCE=dropgate", "CUSTOMER_SOURCE=claim",
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "SHUTDOWN_DELAY=100ms",
	)
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	var listening struct {
		Message   string `json:"message"`
		Version   string `json:"version"`
		Commit    string `json:"commit"`
		AdminAddr string `json:"admin_addr"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &listening) != nil || listening.Message != "listening" {
		t.Fatalf("first line %q", lines.Text())
	}
	if listening.Version != "v9.8.7" || listening.Commit != "0123abc" {
		t.Errorf("version %q, commit %q", listening.Version, listening.Commit)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listening.AdminAddr+"/livez", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("livez: %d", resp.StatusCode)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	for lines.Scan() {
		rest.WriteString(lines.Text() + "\n")
	}
	if err := server.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if !strings.Contains(rest.String(), "no longer ready") || !strings.Contains(rest.String(), `"stopped"`) {
		t.Errorf("log after SIGTERM:\n%s", rest.String())
	}
}
