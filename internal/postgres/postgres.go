// Package postgres opens pools of connections to PostgreSQL. It keeps passwords out
// of errors, suits PgBouncer in transaction mode, and leaves a server that a fail-over has
// made read-only. It knows no tables.
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

	"dropgate/internal/clienttoken"
)

// Settings of every pool.
const (
	lifetime = 30 * time.Minute // so that a fail-over by DNS takes effect
	idleTime = 5 * time.Minute
	connect  = 5 * time.Second
	// statements exceeds the number of different statements of the service. By default
	// pgx reserves room for 512 per connection, in two tables.
	statements = 64
)

// SetMaxConnections changes how many connections a pool opens at most.
func SetMaxConnections(pool *sql.DB, connections int) {
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
}

func parseURL(url string) (*pgx.ConnConfig, error) {
	_, rest, found := strings.Cut(url, "://")
	scheme := strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
	// An unescaped '@' or '/' in the password would make a part of it the host or the
	// database, which errors show.
	userInfo, afterUser, named := strings.Cut(rest, "@")
	misread := named && (strings.ContainsAny(userInfo, "/?#") || strings.Contains(afterUser, "@"))
	if !found || !scheme || misread || rest == "" || rest[0] == '/' {
		return nil, errURL
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The rest of the error may quote the password.
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

// withoutPrepared returns the mode for running statements, unless the URL chooses one.
// By default pgx names prepared statements. They belong to one server connection, but
// PgBouncer in transaction mode runs the next statement on another. In this mode pgx
// caches the types of a statement and sends its text each time, in one round trip
// (docs/performance.md).
func withoutPrepared(url string, chosen pgx.QueryExecMode) pgx.QueryExecMode {
	if strings.Contains(url, "default_query_exec_mode=") {
		return chosen
	}
	return pgx.QueryExecModeCacheDescribe
}

// Server is one server connection the URL allows.
type Server struct {
	Host     string // a name or an address without brackets; for a socket, a folder
	Socket   bool
	Verified bool // by TLS with a certificate for Host
}

// Servers returns every connection pgx may try for url, including what the environment
// (PGHOST, PGSSLMODE) and a service file add. A URL may name several hosts, and
// sslmode=prefer tries each with and without TLS. The error is that of [Open].
func Servers(url clienttoken.Secret) ([]Server, error) {
	config, err := parseURL(url.Reveal())
	if err != nil {
		return nil, err
	}
	server := func(host string, port uint16, with *tls.Config) Server {
		network, _ := pgconn.NetworkAddress(host, port)
		// verify-ca skips Go's verification and ignores the name in its own.
		return Server{Host: host, Socket: network == "unix", Verified: with != nil && !with.InsecureSkipVerify}
	}
	servers := []Server{server(config.Host, config.Port, config.TLSConfig)}
	for _, next := range config.Fallbacks {
		servers = append(servers, server(next.Host, next.Port, next.TLSConfig))
	}
	return servers, nil
}

var errURL = errors.New("is not a URL such as postgres://user:password@host:5432/database?sslmode=verify-full" +
	" (in the password, write '@', '/', ':', '?', '#' and '%' as %40, %2F, %3A, %3F, %23 and %25)")

// WithoutSettings removes the connection settings, including the password, from err. A
// failed connection attempt adds them.
func WithoutSettings(err error) error {
	if refused, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("connecting: %w", refused.Unwrap())
	}
	return err
}

// Permanent reports whether the server would refuse a retry too, until an operator
// changes this service.
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

// insufficientPrivilege is the SQLSTATE of a missing GRANT.
const insufficientPrivilege = "42501"
