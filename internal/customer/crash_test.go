package customer_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// TestProcess is a process of its own to the tests below. It says that it is
// there, waits for the end of its input, and then links users until it is
// killed. It prints the number of each once the link is acknowledged.
func TestProcess(t *testing.T) {
	path := os.Getenv("TEST_SQLITE_PATH")
	if path == "" {
		t.Skip("run by the tests below")
	}
	first, err := strconv.Atoi(os.Getenv("TEST_FIRST_USER"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
	store := openSQLite(t, path)
	for n := first; ; n++ {
		link(t, store, fmt.Sprint("user ", n), customerNumber(n))
		fmt.Println(n)
	}
}

// process is a running TestProcess, and the lines that it prints.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startProcess(t *testing.T, path string, firstUser int, stdin *os.File) process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcess$")
	cmd.Env = append(os.Environ(), "TEST_SQLITE_PATH="+path, fmt.Sprint("TEST_FIRST_USER=", firstUser))
	cmd.Stdin = stdin
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := process{cmd: cmd, lines: bufio.NewScanner(out)}
	if !p.lines.Scan() || p.lines.Text() != "ready" {
		t.Fatalf("the process said %q, want ready", p.lines.Text())
	}
	return p
}

// killAfter kills the process after it printed n numbers, and returns all that
// it had printed by then.
func (p process) killAfter(t *testing.T, n int) []int {
	var printed []int
	for p.lines.Scan() {
		number, err := strconv.Atoi(p.lines.Text())
		if err != nil {
			t.Errorf("the process said %s", p.lines.Text())
			continue
		}
		if printed = append(printed, number); len(printed) == n {
			_ = p.cmd.Process.Kill() // and read on
		}
	}
	_ = p.cmd.Wait() // it was killed: an error in any case
	if len(printed) < n {
		t.Errorf("the process made %d links, want %d at least", len(printed), n)
	}
	return printed
}

// Four processes make the database at once, write at once, and are killed at
// work.
func TestSQLiteLosesNoLinkWhenProcessesAreKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links.db")
	stdin, start, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	var processes []process
	for i := range 4 {
		processes = append(processes, startProcess(t, path, i*1_000_000, stdin))
	}
	if err := start.Close(); err != nil {
		t.Fatal(err)
	}
	linked := make(chan []int)
	for _, p := range processes {
		go func() { linked <- p.killAfter(t, 25) }()
	}
	var all []int
	for range processes {
		all = append(all, <-linked...)
	}
	s := openSQLite(t, path)
	for _, n := range all {
		wantCustomer(t, s, fmt.Sprint("user ", n), customerNumber(n))
	}
}
