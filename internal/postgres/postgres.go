package postgres

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"dropgate/internal/clienttoken"
)

// How this service uses a PostgreSQL server. It runs two or three replicas, and
// a server allows a hundred connections if nobody has set it otherwise.
const (
	lifetime = 30 * time.Minute // so that a fail-over by DNS is noticed
	idleTime = 5 * time.Minute
	connect  = 5 * time.Second
	// statements is more than the number of the service's statements. By
	// default pgx reserves room for 512, in two tables for each connection.
	statements = 64
)

func Open(url clienttoken.Secret, connections int) (*sql.DB, error) {
	config, err := parseURL(url.Reveal())
	if err != nil {
		return nil, err
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxLifetime(lifetime)
	pool.SetConnMaxIdleTime(idleTime)
	return pool, nil
}

func parseURL(url string) (*pgx.ConnConfig, error) {
	_, rest, found := strings.Cut(url, "://")
	scheme := strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
	// With an '@' or '/' of the password in the clear, a part of the password
	// would be taken for the host or the database, and be told in errors.
	userInfo, afterUser, named := strings.Cut(rest, "@")
	misread := named && (strings.ContainsAny(userInfo, "/?#") || strings.Contains(afterUser, "@"))
	if !found || !scheme || misread || rest == "" || rest[0] == '/' {
		return nil, errURL
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The rest of its text may quote the password.
		if file, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, fmt.Errorf("a file that the URL names: %w", file)
		}
		return nil, errURL
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connect
	}
	config.DefaultQueryExecMode = withoutPrepared(url, config.DefaultQueryExecMode)
	config.StatementCacheCapacity = min(config.StatementCacheCapacity, statements)
	config.DescriptionCacheCapacity = min(config.DescriptionCacheCapacity, statements)
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "dropgate"
	}
	return config, nil
}

// withoutPrepared returns how statements run, unless the URL chooses. pgx's own
// choice is named prepared statements. They belong to one connection of the server,
// and a PgBouncer that pools transactions runs the next statement on another one.
// In this mode pgx remembers the types of a statement and sends its text each time,
// in one round trip. docs/performance.md has the price.
func withoutPrepared(url string, chosen pgx.QueryExecMode) pgx.QueryExecMode {
	if strings.Contains(url, "default_query_exec_mode=") {
		return chosen
	}
	return pgx.QueryExecModeCacheDescribe
}

// Server is one way to a server that a URL allows.
type Server struct {
	Host     string // a name or an address, without brackets; a folder for a socket
	Socket   bool
	Verified bool // with TLS, by a certificate for Host
}

// Servers returns every way that pgx may take for url, with what the
// environment (PGHOST, PGSSLMODE) and a service file add to it. A URL may name
// several hosts, and sslmode=prefer tries each one with and without TLS. The
// error is that of [OpenPostgres].
func Servers(url clienttoken.Secret) ([]Server, error) {
	config, err := parseURL(url.Reveal())
	if err != nil {
		return nil, err
	}
	server := func(host string, port uint16, with *tls.Config) Server {
		network, _ := pgconn.NetworkAddress(host, port)
		// verify-ca skips Go's verification, and has one that ignores the name.
		return Server{Host: host, Socket: network == "unix", Verified: with != nil && !with.InsecureSkipVerify}
	}
	servers := []Server{server(config.Host, config.Port, config.TLSConfig)}
	for _, next := range config.Fallbacks {
		servers = append(servers, server(next.Host, next.Port, next.TLSConfig))
	}
	return servers, nil
}

var errURL = errors.New("is no URL such as postgres://user:password@host:5432/database?sslmode=verify-full" +
	" (in the password, write '@', '/', ':', '?', '#' and '%' as %40, %2F, %3A, %3F, %23 and %25)")

// WithoutSettings takes the connection's settings out of err, which holds them,
// the password included, where a connection could not be made.
func WithoutSettings(err error) error {
	if refused, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("connecting: %w", refused.Unwrap())
	}
	return err
}

// Permanent reports whether a PostgreSQL server will refuse again until
// somebody changes this service.
func Permanent(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(answer.Code) != 5 {
		return false
	}
	// https://www.postgresql.org/docs/current/errcodes-appendix.html
	switch answer.Code[:2] {
	case "0A", // feature not supported: a server that is too old
		"3F", // no such schema
		"42": // syntax error or access rule violation
		return answer.Code != insufficientPrivilege
	}
	return false
}

// insufficientPrivilege is PostgreSQL's SQLSTATE for a missing GRANT.
const insufficientPrivilege = "42501"
