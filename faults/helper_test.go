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

// helper is this test binary once more, as a process of its own. Strangers in the
// process that measures would be measured, too: 10 000 dials in it keep its
// scheduler and its network poller from the good client for longer than the
// server does. Dwolla, which the server asks, is in that process as well.
type helper struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	says  *bufio.Reader
}

// role is what a helper does: it gets its job and a channel that is closed when
// it is to end, and tells what it has to tell.
type role func(job []byte, end <-chan struct{}, tell func(any)) error

// helperRole is the variable that makes a process a helper.
const helperRole = "FAULTS_HELPER"

func roles() map[string]role {
	return map[string]role{"strangers": beStrangers, "good client": beGoodClient, "control": beControl}
}

// beHelper does what this process was started for. Its job is the first line of
// its input, and the end of that is the end of the job.
func beHelper() int {
	input := bufio.NewReader(os.Stdin)
	job, err := input.ReadBytes('\n')
	if err != nil {
		return 1
	}
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, input) // also when the test is killed
		close(end)
	}()
	do, known := roles()[os.Getenv(helperRole)]
	if !known {
		err = errors.New("no such role")
	} else {
		err = do(job, end, func(what any) { _ = json.NewEncoder(os.Stdout).Encode(what) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startHelper starts one. It ends with the test.
func startHelper(t *testing.T, role string, job any, through ...string) *helper {
	t.Helper()
	itself, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := append(through, itself)
	h := &helper{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)}
	h.cmd.Env, h.cmd.Stderr = append(os.Environ(), helperRole+"="+role), os.Stderr
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	h.says = bufio.NewReader(stdout)
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

// hears waits for what the helper tells next.
func (h *helper) hears(t *testing.T, what any) {
	t.Helper()
	line, err := h.says.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, what)
	}
	if err != nil {
		t.Fatalf("a helper: %q %v", line, err)
	}
}

// ends tells the helper to end, and waits for what it has to tell.
func (h *helper) ends(t *testing.T, what any) {
	t.Helper()
	_ = h.stdin.Close()
	h.hears(t, what)
}
