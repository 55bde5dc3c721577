package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/bench/scratch"
)

// stage holds everything that the bench started: processes and a temporary folder.
type stage struct {
	dir       string
	self      string // the bench's own binary
	server    string // the server's
	tags      string // that the server is built with
	logs      *os.File
	processes []*process
	schemas   []*scratch.Schema
	databases []*scratch.Database
	folders   []string // beside dir
	redis     []*redis.Client
}

// newStage creates the folder and builds the server, with or without profiles.
func newStage(ctx context.Context, tags ...string) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the bench's own binary: %w", err)
	}
	dir, err := os.MkdirTemp("", "dropgate-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	s := &stage{dir: dir, self: self, server: filepath.Join(dir, "server"), tags: strings.Join(tags, ",")}
	if s.logs, err = os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil { //nolint:gosec // a path of our own
		s.close()
		return nil, fmt.Errorf("making the log file: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-tags", s.tags, "-o", s.server, "dropgate/cmd/server") //nolint:gosec // a path of our own
	if said, err := build.CombinedOutput(); err != nil {
		s.close()
		return nil, fmt.Errorf("building the server: %w\n%s", err, said)
	}
	return s, nil
}

// close ends all processes and removes the schemas and the folder.
func (s *stage) close() {
	for _, client := range s.redis {
		_ = client.Close()
	}
	for _, p := range s.processes {
		p.stop()
	}
	for _, schema := range s.schemas {
		if err := schema.Drop(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	for _, database := range s.databases {
		if err := database.Drop(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	_ = s.logs.Close()
	for _, dir := range append(s.folders, s.dir) {
		_ = os.RemoveAll(dir)
	}
}

// forgetLogs keeps the log file small.
func (s *stage) forgetLogs() { _ = s.logs.Truncate(0) }

// process is a program started by the stage.
type process struct {
	cmd  *exec.Cmd
	stop func() // terminates it, kills it after a while, and waits; may be called twice
}

// start starts a program with the given standard output. It ends with ctx at the
// latest.
func (s *stage) start(ctx context.Context, stdout io.Writer, env []string, command ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // programs of our own
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("starting %s: %w", command[0], err)
	}
	p := &process{cmd: cmd, stop: func() {
		cancel()
		_ = cmd.Wait() // ctx ended it
	}}
	s.processes = append(s.processes, p)
	return p, nil
}

// startRole starts the bench itself in a role and returns its address.
func (s *stage) startRole(ctx context.Context, args ...string) (*process, addresses, error) { //nolint:revive // three belong together
	var says addresses
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, says, fmt.Errorf("making a pipe: %w", err)
	}
	defer func() { _ = reader.Close() }()
	p, err := s.start(ctx, writer, []string{}, append([]string{s.self, "-role"}, args...)...)
	_ = writer.Close() // the process keeps its own copy
	if err != nil {
		return nil, says, err
	}
	if err := json.NewDecoder(reader).Decode(&says); err != nil {
		return nil, says, fmt.Errorf("the %s did not say where it listens: %w", args[0], err)
	}
	return p, says, nil
}

// backends are the servers behind every target, and the credentials of its callers.
type backends struct {
	addresses

	accessToken string   // of the application, for targets without their own
	bearer      []string // of the users, in their order, as lines of a header
}

// startBackends starts them. Dwolla takes latency for each client token.
func (s *stage) startBackends(ctx context.Context, latency time.Duration) (backends, error) {
	_, says, err := s.startRole(ctx, "backends", "-latency", latency.String())
	if err != nil {
		return backends{}, err
	}
	b := backends{addresses: says}
	for i := range users {
		token, err := get(ctx, says.Issuer+"/token?user="+userName(i))
		if err != nil {
			return b, err
		}
		b.bearer = append(b.bearer, "Authorization: Bearer "+strings.TrimSpace(token))
	}
	form := strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, says.Dwolla+"/token", form)
	if err != nil {
		return b, fmt.Errorf("asking for an access token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(clientID, clientSecret)
	answer, err := do(req)
	if err != nil {
		return b, err
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(answer), &token); err != nil {
		return b, fmt.Errorf("reading the access token: %w", err)
	}
	b.accessToken = token.AccessToken
	return b, nil
}

// freeAddr returns an unused address. Another process could still take it before the
// server does.
func freeAddr(ctx context.Context) (string, error) {
	listener, err := listen(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String(), nil
}

func get(ctx context.Context, from string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody) //nolint:gosec // from processes of our own
	if err != nil {
		return "", fmt.Errorf("asking for %s: %w", from, err)
	}
	return do(req)
}

func do(req *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // likewise
	if err != nil {
		return "", err //nolint:wrapcheck // a *url.Error names method and URL
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", req.URL, err)
	}
	return string(body), nil
}

// mallocs returns the allocations of each target so far.
func mallocs(ctx context.Context, targets []*target) ([]float64, error) {
	var counts []float64
	for _, t := range targets {
		text, err := get(ctx, t.metrics)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if value, found := strings.CutPrefix(line, mallocsMetric+" "); found {
				count, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", t.metrics, err)
				}
				counts = append(counts, count)
			}
		}
	}
	if len(counts) != len(targets) {
		return nil, fmt.Errorf("a target has no metric %s", mallocsMetric)
	}
	return counts, nil
}

// cpu is the CPU time of a process since its start: the sum over its threads in
// nanoseconds, because /proc/PID/stat counts only hundredths of a second. A thread's
// share is lost when it ends, but Go keeps its threads.
func (p *process) cpu() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid) }

func cpuOf(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no schedstat in /proc: the bench needs Linux (%w)", err)
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // of a process of our own
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		first, _, _ := strings.Cut(string(text), " ")
		nanoseconds, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", file, err)
		}
		sum += time.Duration(nanoseconds)
	}
	return sum, nil
}

// memory is the resident memory of a process in KiB.
type memory struct{ now, peak int }

func (p *process) memory() (memory, error) {
	var m memory
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return m, fmt.Errorf("reading memory: %w", err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		for name, value := range map[string]*int{"VmRSS:": &m.now, "VmHWM:": &m.peak} {
			if rest, found := strings.CutPrefix(lines.Text(), name); found {
				_, err = fmt.Sscanf(rest, "%d", value)
			}
		}
	}
	if err != nil || m.now == 0 {
		return m, fmt.Errorf("no VmRSS in /proc/PID/status (%w)", err)
	}
	return m, nil
}
