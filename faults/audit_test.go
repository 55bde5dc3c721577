//go:build faults

package faults_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sink is a named pipe for the audit trail, with its reader.
type sink struct {
	t    *testing.T
	path string

	mu      sync.Mutex
	reader  *os.File // nil while closed
	reading bool
	lines   bytes.Buffer
}

// newSink makes a pipe with a small buffer.
func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{t: t, path: filepath.Join(t.TempDir(), "audit")}
	if err := syscall.Mkfifo(s.path, 0o600); err != nil {
		t.Fatal(err)
	}
	s.open()
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { s.read(ended) })
	t.Cleanup(func() {
		close(ended)
		running.Wait()
		s.shut()
	})
	return s
}

// open opens the pipe for reading.
func (s *sink) open() {
	reader, err := os.OpenFile(s.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		s.t.Error(err)
		return
	}
	if conn, err := reader.SyscallConn(); err == nil {
		const setSize, page = 1031, 4096 // F_SETPIPE_SZ
		_ = conn.Control(func(fd uintptr) { _, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, setSize, page) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader, s.reading = reader, true
}

func (s *sink) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.reader.Close()
	s.reader, s.reading = nil, false
}

// setPaused stops or resumes the reader.
func (s *sink) setPaused(now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = !now
}

// read reads every millisecond, unless paused.
func (s *sink) read(ended <-chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		select {
		case <-ended:
			return
		case <-time.After(time.Millisecond):
		}
		s.mu.Lock()
		if s.reading {
			_ = s.reader.SetReadDeadline(time.Now().Add(time.Millisecond))
			n, _ := s.reader.Read(buffer) // an empty pipe is an error, too
			s.lines.Write(buffer[:n])
		}
		s.mu.Unlock()
	}
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.String()
}

// checkAuditMissing fails the test unless /readyz names the audit trail.
func checkAuditMissing(t *testing.T, p *process) {
	t.Helper()
	if status, content := p.getAdmin(t, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(content, `"reason":"audit: `) {
		t.Errorf("/readyz: %d %s, want 503 and the audit trail as the reason", status, content)
	}
}

func TestBrokenAuditSinkIsAnOutageAndHeals(t *testing.T) {
	t.Parallel()
	w, to := newWorld(t), newSink(t)
	w.settings["AUDIT_LOG"] = to.path
	p := w.start(t, nil)
	scenario{
		fault: "the audit sink is broken", world: w, callers: w.bearers(p, 16),
		begin:   to.shut,
		end:     func() { checkAuditMissing(t, p); to.open() },
		allowed: []string{unavailable}, seen: []string{unavailable}, refused: []string{unavailable}, longest: 4 * time.Second,
	}.run(t)
}

func TestStuckAuditSinkIsAnOutageAndHeals(t *testing.T) {
	t.Parallel()
	w, to := newWorld(t), newSink(t)
	w.settings["AUDIT_LOG"] = to.path
	p := w.start(t, nil)
	o := scenario{
		fault: "the audit sink is stuck", world: w, callers: w.bearers(p, 16),
		begin:   func() { to.setPaused(true) },
		end:     func() { checkAuditMissing(t, p); to.setPaused(false) },
		allowed: []string{token, unavailable}, seen: []string{unavailable}, refused: []string{unavailable}, longest: 4 * time.Second,
	}.run(t)
	waitFor(t, "the last line", 5*time.Second, func() bool { return unaudited(o.shots, to.text()) == 0 })

	// After SIGTERM the process ends in time, although the sink is stuck.
	to.setPaused(true)
	vend := w.bearers(p, 1)[0]
	waitFor(t, "the sink is stuck again", 20*time.Second, func() bool { return vend.call(t.Context()).summary() == unavailable })
	p.stop(t)
}

// unaudited counts the users' tokens without an audit line.
func unaudited(shots []shot, lines string) int {
	missing := 0
	for _, s := range shots {
		sum := sha256.Sum256([]byte(s.token))
		if s.token != "" && !strings.Contains(lines, hex.EncodeToString(sum[:8])) {
			missing++
		}
	}
	return missing
}
