package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"dropgate/bench/scratch"
)

// replica is a place for a server behind the balancer. Servers take it one after the
// other.
type replica struct {
	name   string
	at     places
	server *target
	trails []string // one audit file per server
}

// replicaGroup is replicas with the same settings and the same stores.
type replicaGroup struct {
	name     string
	like     recipe
	database *scratch.Database
	pooler   *process // PgBouncer, or nil
	replicas []*replica
}

// mixedUsers are the users of every replica: in turn one with a bearer token and one
// with a session.
func mixedUsers(b backends, cookies []string) []string {
	var mixed []string
	for i := range users {
		mixed = append(mixed, []string{b.bearer[i], cookies[i]}[i%2])
	}
	return mixed
}

// newGroup prepares a group with its own database. Its servers do not run yet.
func (s *stage) newGroup(ctx context.Context, name string, size int, like recipe, o options) (*replicaGroup, error) {
	database, err := scratch.NewDatabase(ctx, o.postgres)
	if err != nil {
		return nil, fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	s.databases = append(s.databases, database)
	env, err := s.makeDirectory(ctx, database.URL.Reveal(), 0)
	if err != nil {
		return nil, err
	}
	like.env = append(env, like.env...)
	g := &replicaGroup{name: name, like: like, database: database}
	for i := range size {
		at, err := freePlaces(ctx)
		if err != nil {
			return nil, err
		}
		g.replicas = append(g.replicas, &replica{name: fmt.Sprintf("%s-%d", name, i+1), at: at})
	}
	return g, nil
}

// start starts a server in the replica's place, and waits for its first client token.
func (g *replicaGroup) start(ctx context.Context, s *stage, b backends, r *replica) error {
	trail := filepath.Join(s.dir, fmt.Sprintf("audit-%s-%d", r.name, len(r.trails)))
	like := g.like
	like.name = r.name
	like.env = append(append([]string{}, g.like.env...), "AUDIT_LOG="+trail, "TRUSTED_PROXIES=127.0.0.1")
	if g.pooler == nil { // PgBouncer would set a different name before each transaction
		like.env = append(like.env, "PGAPPNAME="+r.name)
	}
	for i, setting := range like.env {
		if strings.HasPrefix(setting, "REDIS_URL=") {
			like.env[i] = setting + "?client_name=" + r.name
		}
	}
	server, _, err := s.startServerAt(ctx, b, like, r.at)
	if err != nil {
		return err
	}
	r.server, r.trails = server, append(r.trails, trail)
	return nil
}

// startAll starts a server in each of the first n places.
func (g *replicaGroup) startAll(ctx context.Context, s *stage, b backends, n int) error {
	for _, r := range g.replicas[:n] {
		if err := g.start(ctx, s, b, r); err != nil {
			return err
		}
	}
	return nil
}

// kill ends the server like a lost machine: without a warning.
func (r *replica) kill() error {
	if err := r.server.process.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("killing %s: %w", r.name, err)
	}
	_ = r.server.process.cmd.Wait() // reports the signal
	return nil
}

// drain ends the server like Kubernetes, and waits for it.
func (r *replica) drain() error {
	if err := r.server.process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("ending %s: %w", r.name, err)
	}
	if err := r.server.process.cmd.Wait(); err != nil {
		return fmt.Errorf("%s after SIGTERM: %w", r.name, err)
	}
	return nil
}

// poolerConnections is the number of PgBouncer's connections to PostgreSQL for all
// replicas.
const poolerConnections = 8

// behindPooler puts PgBouncer in transaction mode between the group and PostgreSQL.
func (g *replicaGroup) behindPooler(ctx context.Context, s *stage) error {
	path, err := findProgram("pgbouncer", pgbouncerPath)
	if err != nil {
		return err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	for i, setting := range g.like.env {
		server, found := strings.CutPrefix(setting, "DATABASE_URL=")
		if !found {
			continue
		}
		if g.pooler, err = s.startPooler(ctx, path, addr, server); err != nil {
			return err
		}
		through := url.URL{Scheme: "postgres", User: url.User("bench"), Host: addr, Path: "/bench", RawQuery: "sslmode=disable"}
		g.like.env[i] = "DATABASE_URL=" + through.String()
	}
	return nil
}

// pgbouncerPath is where Debian installs PgBouncer. Not every PATH holds it.
const pgbouncerPath = "/usr/sbin/pgbouncer"

// startPooler runs PgBouncer, as user 65534 if the bench runs as root: PgBouncer refuses
// root.
func (s *stage) startPooler(ctx context.Context, path, addr, server string) (*process, error) {
	config, err := pgx.ParseConfig(server)
	if err != nil {
		return nil, fmt.Errorf("reading the database's URL: %w", err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("splitting %s: %w", addr, err)
	}
	text := poolerConfig(config, port)
	dir, err := os.MkdirTemp("", "dropgate-pgbouncer-") // s.dir is closed to other users
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	s.folders = append(s.folders, dir)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing PgBouncer's configuration: %w", err)
	}
	command := []string{path, "-q", file}
	if os.Geteuid() == 0 {
		const nobody = 65534
		for _, owned := range []string{dir, file} {
			if err := os.Chown(owned, nobody, nobody); err != nil {
				return nil, fmt.Errorf("handing a file to PgBouncer: %w", err)
			}
		}
		setpriv, err := exec.LookPath("setpriv")
		if err != nil {
			return nil, fmt.Errorf("PgBouncer refuses root, and setpriv is missing: %w", err)
		}
		command = append([]string{setpriv, fmt.Sprintf("--reuid=%d", nobody), fmt.Sprintf("--regid=%d", nobody), "--clear-groups"}, command...)
	}
	return s.start(ctx, io.Discard, []string{}, command...)
}

// poolerConfig is PgBouncer's configuration in front of a database.
func poolerConfig(to *pgx.ConnConfig, port string) string {
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	var password string
	if to.Password != "" { // PgBouncer refuses an empty one
		password = " password=" + quoted(to.Password)
	}
	return fmt.Sprintf(`[databases]
bench = host=%s port=%d dbname=%s user=%s%s connect_query='SET search_path TO %s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 500
`, quoted(to.Host), to.Port, quoted(to.Database), quoted(to.User), password, to.RuntimeParams["search_path"], port, poolerConnections)
}
