package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// refusal is a store that answers, but refuses work between begin and end.
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
	// Both in one answer: the next one may come from a connection that begin has cut.
	until(t, "readiness names "+r.reason, func() bool {
		got := s.admin(t, "/readyz")
		return got.status == http.StatusServiceUnavailable && whyMissing(t, got.body)[what] == r.reason &&
			strings.Contains(got.body, `"reason":"`+what+": "+r.reason)
	})
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

// whyMissing returns the reasons that readiness gives.
func whyMissing(t *testing.T, body string) map[string]string {
	t.Helper()
	var said struct {
		Missing []struct{ What, Reason string }
	}
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, m := range said.Missing {
		why[m.What] = m.Reason
	}
	return why
}

// run starts a process for the duration of the test.
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

// skip skips a test for lack of a program or server. In CI it fails instead.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// smallDisk is a file system of a test's own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		skip(t, "mounting needs root: "+err.Error())
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
	out, err := os.Create(file)
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

func TestThrottlingDwollaIsDegradedButReady(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, nil)
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: http.StatusTooManyRequests, Times: 1})
	answers(t, "a throttled vend", s.vend(t, "alice", readCustomer), http.StatusServiceUnavailable, "Unavailable")
	got := s.admin(t, "/readyz")
	if got.status != http.StatusOK || !strings.Contains(got.body, `"status":"ready"`) ||
		!strings.Contains(got.body, `"degraded":["dwolla: throttled until 2`) || !strings.Contains(got.body, `(create_client_token)"]`) {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
	until(t, "the metric", func() bool {
		return strings.Contains(s.admin(t, "/metrics").body, `dropgate_dependency_up{dependency="dwolla"} 0`)
	})
}
