//go:build faults

package faults_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// subprocess runs this test binary again, as a separate process. In the measuring process,
// 10 000 dials would occupy the scheduler and the network poller for longer than the
// server does. That process also runs Dwolla.
type subprocess struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// role is a subprocess's work. It gets a job, sends reports, and returns soon after
// end is closed.
type role func(job []byte, end <-chan struct{}, report func(any)) error

// roleVariable is the environment variable with a subprocess's role.
const roleVariable = "FAULTS_ROLE"

func roles() map[string]role {
	return map[string]role{"attackers": runAttackers, "good client": runGoodClient, "control": runControl}
}

// runSubprocess runs the role of this process. The first line of its input is the job. The
// job ends with the input.
func runSubprocess() int {
	input := bufio.NewReader(os.Stdin)
	job, err := input.ReadBytes('\n')
	if err != nil {
		return 1
	}
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, input) // also ends when the test is killed
		close(end)
	}()
	do, known := roles()[os.Getenv(roleVariable)]
	if !known {
		err = errors.New("unknown role")
	} else {
		err = do(job, end, func(what any) { _ = json.NewEncoder(os.Stdout).Encode(what) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startSubprocess starts a subprocess. It ends with the test.
func startSubprocess(t *testing.T, role string, job any, through ...string) *subprocess {
	t.Helper()
	itself, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := append(through, itself)
	h := &subprocess{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)}
	h.cmd.Env, h.cmd.Stderr = append(os.Environ(), roleVariable+"="+role), os.Stderr
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	h.stdout = bufio.NewReader(stdout)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.stdin.Close()
		late := time.AfterFunc(10*time.Second, func() { _ = h.cmd.Process.Kill() })
		defer late.Stop()
		_ = h.cmd.Wait()
	})
	if err := json.NewEncoder(h.stdin).Encode(job); err != nil {
		t.Fatal(err)
	}
	return h
}

// receive waits for the subprocess's next report.
func (h *subprocess) receive(t *testing.T, what any) {
	t.Helper()
	line, err := h.stdout.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, what)
	}
	if err != nil {
		t.Fatalf("report of a subprocess: %q, error %v", line, err)
	}
}

// finish ends the subprocess, and waits for its last report.
func (h *subprocess) finish(t *testing.T, what any) {
	t.Helper()
	_ = h.stdin.Close()
	h.receive(t, what)
}
