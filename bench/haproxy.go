package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// balancer is an HAProxy in front of replicas.
type balancer struct {
	process *process
	socket  string // for statistics
}

// front is a listener of the balancer with the replicas behind it.
type front struct {
	name, addr string
	replicas   []*replica
	retryOn    string // the failures after which HAProxy tries another replica
}

// servedBy is the header for the name of the replica behind an answer.
const servedBy = "X-Served-By"

// The balancer asks each replica for /readyz every checkEvery. checkFalls bad answers
// remove the replica, checkRises good ones bring it back.
const (
	checkEvery = 500 * time.Millisecond
	checkFalls = 2
	checkRises = 2
)

// haproxyPath is where Debian installs HAProxy. Not every PATH holds it.
const haproxyPath = "/usr/sbin/haproxy"

// findProgram returns a program's path.
func findProgram(name, debianPath string) (string, error) {
	for _, candidate := range []string{name, debianPath} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("-scale needs %[1]s: install it (on Debian: apt install %[1]s)", name)
}

// balancerConfig is HAProxy's configuration. The first front of a replica checks its
// readiness, and the other fronts follow.
func balancerConfig(socket string, fronts []front) string {
	var c strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&c, format+"\n", args...) }
	line("global\n  stats socket %s level user\n", socket)
	line("defaults\n  mode http\n  option forwardfor\n  option httpchk")
	line("  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost\n  http-check expect status 200")
	line("  timeout connect 1s\n  timeout client 60s\n  timeout server 60s\n  timeout check 1s")
	line("  retries 2\n  option redispatch 1\n  default-server inter %s fall %d rise %d", checkEvery, checkFalls, checkRises)
	checked := map[string]string{}
	for _, f := range fronts {
		line("\nlisten %s\n  bind %s\n  balance roundrobin\n  retry-on %s\n  http-response set-header %s %%s", f.name, f.addr, f.retryOn, servedBy)
		for _, r := range f.replicas {
			how := "track " + checked[r.name] + "/" + r.name
			if checked[r.name] == "" {
				checked[r.name] = f.name
				_, port, _ := net.SplitHostPort(r.at.admin) // of freeAddr
				how = "check port " + port
			}
			line("  server %s %s %s", r.name, r.at.public, how)
		}
	}
	return c.String()
}

// startBalancer starts HAProxy and gives each front its address.
func (s *stage) startBalancer(ctx context.Context, fronts []front) (*balancer, error) {
	path, err := findProgram("haproxy", haproxyPath)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, "haproxy")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	b := &balancer{socket: filepath.Join(dir, "socket")}
	for i := range fronts {
		if fronts[i].addr, err = freeAddr(ctx); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(balancerConfig(b.socket, fronts)), 0o600); err != nil {
		return nil, fmt.Errorf("writing HAProxy's configuration: %w", err)
	}
	check := exec.CommandContext(ctx, path, "-c", "-q", "-f", file) //nolint:gosec // HAProxy
	if said, err := check.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("HAProxy refuses its configuration: %w\n%s", err, said)
	}
	if b.process, err = s.start(ctx, io.Discard, []string{}, path, "-db", "-q", "-f", file); err != nil {
		return nil, err
	}
	return b, nil
}

// states returns the state of each replica: UP, DOWN and others.
func (b *balancer) states(ctx context.Context) (map[string]string, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", b.socket)
	if err != nil {
		return nil, fmt.Errorf("asking HAProxy: %w", err)
	}
	defer func() { _ = conn.Close() }()
	const servers = 4 // HAProxy's number for this kind of row
	if _, err := fmt.Fprintf(conn, "show stat -1 %d -1\n", servers); err != nil {
		return nil, fmt.Errorf("asking HAProxy: %w", err)
	}
	rows, err := csv.NewReader(conn).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading HAProxy's statistics: %w", err)
	}
	return serverStates(rows)
}

// serverStates reads HAProxy's statistics. Its first row has the names of the columns.
func serverStates(rows [][]string) (map[string]string, error) {
	name, status := -1, -1
	states := map[string]string{}
	for i, row := range rows {
		for column, title := range row {
			switch {
			case i > 0:
			case title == "svname":
				name = column
			case title == "status":
				status = column
			}
		}
		if name < 0 || status < 0 {
			return nil, errors.New("HAProxy's statistics have no svname and status")
		}
		if i > 0 {
			states[row[name]] = row[status]
		}
	}
	return states, nil
}

// await waits until the balancer has seen the replica in a state.
func (b *balancer) await(ctx context.Context, replica, state string) error {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		states, err := b.states(ctx)
		// A tracking server has a longer state, such as "UP (via …)".
		if err == nil && strings.HasPrefix(states[replica], state) {
			return nil
		}
		if ctx.Err() != nil || time.Since(began) > 30*time.Second {
			return fmt.Errorf("HAProxy does not see %s as %s, but as %q: %w", replica, state, states[replica], errors.Join(err, ctx.Err()))
		}
	}
}
