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

	"dropgate/bench/scratch"
)

// stage is all that the bench started: processes and a temporary folder.
type stage struct {
	dir       string
	self      string // the bench's own binary
	server    string // the server's
	logs      *os.File
	processes []*process
	schema    *scratch.Schema // or nil
}

// newStage makes the folder and builds the server into it.
func newStage(ctx context.Context) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the bench's own binary: %w", err)
	}
	dir, err := os.MkdirTemp("", "dropgate-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	s := &stage{dir: dir, self: self, server: filepath.Join(dir, "server")}
	if s.logs, err = os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil { //nolint:gosec // a path of our own
		s.close()
		return nil, fmt.Errorf("making the log file: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", s.server, "dropgate/cmd/server") //nolint:gosec // a path of our own
	if said, err := build.CombinedOutput(); err != nil {
		s.close()
		return nil, fmt.Errorf("building the server: %w\n%s", err, said)
	}
	return s, nil
}

// close ends what is still running, and removes the schema and the folder.
func (s *stage) close() {
	for _, p := range s.processes {
		p.stop()
	}
	if s.schema != nil {
		if err := s.schema.Drop(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	_ = s.logs.Close()
	_ = os.RemoveAll(s.dir)
}

// forgetLogs keeps the log file from growing to gigabytes.
func (s *stage) forgetLogs() { _ = s.logs.Truncate(0) }

// process is a program that the stage started.
type process struct {
	cmd  *exec.Cmd
	stop func() // asks it to end, kills it after a while, and waits; may be called twice
}

// start starts a program, with stdout as its standard output. It ends when ctx
// does, at the latest.
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
		_ = cmd.Wait() // how it ended was the end of ctx's doing
	}}
	s.processes = append(s.processes, p)
	return p, nil
}

// startRole starts the bench itself in a role and returns where it listens.
func (s *stage) startRole(ctx context.Context, args ...string) (*process, addresses, error) { //nolint:revive // three belong together
	var says addresses
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, says, fmt.Errorf("making a pipe: %w", err)
	}
	defer func() { _ = reader.Close() }()
	p, err := s.start(ctx, writer, []string{}, append([]string{s.self, "-role"}, args...)...)
	_ = writer.Close() // the process has its own end, so ours reads to the end of that
	if err != nil {
		return nil, says, err
	}
	if err := json.NewDecoder(reader).Decode(&says); err != nil {
		return nil, says, fmt.Errorf("the %s did not say where it listens: %w", args[0], err)
	}
	return p, says, nil
}

// backends are what every target talks to, and what its callers need.
type backends struct {
	addresses

	accessToken string   // of the application, for the targets that do not get their own
	tokens      []string // of the users, in their order
}

func (s *stage) startBackends(ctx context.Context) (backends, error) {
	_, says, err := s.startRole(ctx, "backends")
	if err != nil {
		return backends{}, err
	}
	b := backends{addresses: says}
	for i := range users {
		token, err := get(ctx, says.Issuer+"/token?user="+userName(i))
		if err != nil {
			return b, err
		}
		b.tokens = append(b.tokens, strings.TrimSpace(token))
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

// target is a process that vends client tokens.
type target struct {
	name    string
	addr    string // where it vends
	metrics string // the URL that has mallocsMetric
	process *process
}

// The targets' names in the table.
const (
	theServer   = "dropgate"
	theDatabase = "dropgate with PostgreSQL"
	theProxy    = "bare ReverseProxy"
	theHandler  = "bare handler"
)

// startTargets starts all of them, the server first, and then the one with the
// directory in postgres, if there is a URL of one.
func (s *stage) startTargets(ctx context.Context, b backends, postgres string) ([]*target, error) {
	server, _, err := s.startServer(ctx, b, "CUSTOMER_SOURCE=claim")
	if err != nil {
		return nil, err
	}
	targets := []*target{server}
	if postgres != "" {
		settings, err := s.makeDirectory(ctx, postgres)
		if err != nil {
			return nil, err
		}
		server, _, err := s.startServer(ctx, b, settings...)
		if err != nil {
			return nil, fmt.Errorf("with PostgreSQL: %w", err)
		}
		server.name = theDatabase
		targets = append(targets, server)
	}
	for _, bare := range []struct{ name, role string }{{theProxy, "proxy"}, {theHandler, "handler"}} {
		p, says, err := s.startRole(ctx, bare.role, "-dwolla", b.Dwolla, "-access-token", b.accessToken)
		if err != nil {
			return nil, err
		}
		targets = append(targets, &target{bare.name, says.Target, "http://" + says.Target + "/metrics", p})
	}
	return targets, nil
}

// startServer starts the real server, with everything on and the directory as
// set, and returns how long it took from there to its first client token.
func (s *stage) startServer(ctx context.Context, b backends, directory ...string) (*target, time.Duration, error) { //nolint:revive // three belong together
	public, err := freeAddr(ctx)
	if err != nil {
		return nil, 0, err
	}
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	p, err := s.start(ctx, s.logs, append(directory,
		"DWOLLA_ENVIRONMENT=sandbox",
		"DWOLLA_CLIENT_ID="+clientID,
		"DWOLLA_CLIENT_SECRET="+clientSecret,
		"DWOLLA_BASE_URL="+b.Dwolla,
		"ALLOWED_ACTIONS=dwolla-customer-update,dwolla-personal-vcr,dwolla-document-upload,dwolla-beneficial-owners",
		"HTTP_ADDR="+public,
		"ADMIN_ADDR="+admin,
		"AUTH_MODES=bearer",
		"AUTH_BEARER_ISSUER="+b.Issuer,
		"AUTH_BEARER_AUDIENCE="+audience,
		"SHUTDOWN_DELAY=0s",
		"RATE_LIMIT_USER=1000000/1s",
		"RATE_LIMIT_IP=1000000/1s",
	), s.server)
	if err != nil {
		return nil, 0, err
	}
	t := &target{theServer, public, "http://" + admin + "/metrics", p}
	for {
		err := t.once(ctx, b.tokens)
		took := time.Since(began)
		switch {
		case err == nil:
			return t, took, nil
		case ctx.Err() != nil || took > 10*time.Second:
			return nil, 0, fmt.Errorf("the server gives no client token: %w", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// freeAddr returns an address that nobody listens on, most likely until the
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("asking for %s: %w", from, err)
	}
	return do(req)
}

func do(req *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(req)
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

// mallocs counts the allocations that each target has made so far.
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

// cpu is the time that a process has used since it started, in user and kernel
// mode: the sum over its threads, in nanoseconds as the scheduler counts them;
// /proc/PID/stat has hundredths of a second only. A thread that ends takes its
// share with it, but Go keeps its threads.
func (p *process) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
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
