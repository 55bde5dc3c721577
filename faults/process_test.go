//go:build faults

package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the released server, without the tests' race detector.
var binary struct {
	path string
	help string // the output of -help, which lists the settings
}

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(runSubprocess())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dropgate-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary.path = filepath.Join(dir, "server")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary.path, "dropgate/cmd/server")
	if printed, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the server: %v\n%s", err, printed)
		return 1
	}
	help, err := exec.CommandContext(context.Background(), binary.path, "-help").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "server -help:", err)
		return 1
	}
	binary.help = string(help)
	code := m.Run()
	document := os.Getenv("FAULTS_UPDATE")
	if code != 0 {
		document = "" // a failed run must not replace the table
	}
	if err := results.write(document); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// process is a running server.
type process struct {
	pid           int
	public, admin string // host and port of its listeners
	stdout        *output
	stderr        *output

	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended and its output is complete
}

// startProcess starts the server with only these settings in its environment, and waits
// until it listens. It ends with the test.
func startProcess(t *testing.T, settings map[string]string) *process {
	t.Helper()
	return startBinary(t, binary.path, settings)
}

// startBinary starts a binary of the server like startProcess.
func startBinary(t *testing.T, path string, settings map[string]string) *process {
	t.Helper()
	p := &process{stdout: newOutput(), stderr: newOutput(), exited: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), path)
	p.cmd.Dir = t.TempDir() // for core dumps and SQLite files
	for name, value := range settings {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait() // callers check the exit code
		close(p.exited)
	}()
	t.Cleanup(func() { p.stop(t) })
	select {
	case <-p.stdout.line:
	case <-p.exited:
		t.Fatalf("the server exited early: %s%s", p.stdout, p.stderr)
	case <-time.After(30 * time.Second):
		t.Fatal("the server did not log its start within 30 s")
	}
	printed := p.stdout.String() // JSON, or the console format
	for pattern, address := range map[string]*string{`http_addr"?[:=]"?([0-9.:]+)`: &p.public, `admin_addr"?[:=]"?([0-9.:]+)`: &p.admin} {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(printed); found != nil {
			*address = found[1]
		}
	}
	return p
}

// stop stops the server by SIGTERM. If that takes too long, the test fails and SIGKILL
// follows.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended before
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		t.Error("the server did not stop within 20 s of SIGTERM")
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// running reports whether the process still runs.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// getAdmin gets a page of the admin listener.
func (p *process) getAdmin(t *testing.T, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "http://"+p.admin+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

// peakMemory returns the process's highest memory use, in MiB.
func (p *process) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	t.Fatal("no VmHWM in /proc/PID/status: the suite needs Linux")
	return 0
}

// output collects the output of a process.
type output struct {
	line chan struct{} // closed by the first line with "listening"

	mu  sync.Mutex
	buf bytes.Buffer
}

func newOutput() *output { return &output{line: make(chan struct{})} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.buf.Write(p)
	select {
	case <-o.line:
	default:
		if _, after, found := bytes.Cut(o.buf.Bytes(), []byte("listening")); found && bytes.Contains(after, []byte("\n")) {
			close(o.line)
		}
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// waitFor polls a condition until it is true.
func waitFor(t *testing.T, what string, within time.Duration, good func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !good(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s after %s", what, within)
		}
	}
}
