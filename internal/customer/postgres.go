package customer

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
	"github.com/pressly/goose/v3"

	"dropgate/internal/clienttoken"
)

// How this service uses a PostgreSQL server. It runs two or three replicas, and
// a server allows a hundred connections if nobody has set it otherwise.
const (
	postgresConnections = 16
	postgresLifetime    = 30 * time.Minute // so that a fail-over by DNS is noticed
	postgresIdleTime    = 5 * time.Minute
	postgresConnect     = 5 * time.Second
	// postgresStatements is more than the number of the service's statements. By
	// default pgx reserves room for 512, in two tables for each connection.
	postgresStatements = 64
)

// OpenPostgres returns the database that url names, such as
// postgres://user:password@host:5432/database?sslmode=verify-full. It does not
// connect: the server may be down. Call [Database.Migrate] until it succeeds.
//
// Replicas may share the database, and the application may have it too: all
// names begin with dropgate_. A PgBouncer that pools transactions may stand in
// between: see [withoutPrepared].
//
// No error of the Database holds the url or the password.
func OpenPostgres(url clienttoken.Secret) (*Database, error) {
	pool, err := postgresPool(url, postgresConnections)
	if err != nil {
		return nil, err
	}
	return &Database{
		reads:      pool,
		writes:     pool,
		dialect:    goose.DialectPostgres,
		skipLocked: " FOR UPDATE SKIP LOCKED",
		forShare:   " FOR SHARE",
	}, nil
}

func postgresPool(url clienttoken.Secret, connections int) (*sql.DB, error) {
	config, err := parsePostgresURL(url.Reveal())
	if err != nil {
		return nil, err
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxLifetime(postgresLifetime)
	pool.SetConnMaxIdleTime(postgresIdleTime)
	return pool, nil
}

func parsePostgresURL(url string) (*pgx.ConnConfig, error) {
	_, rest, found := strings.Cut(url, "://")
	scheme := strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
	// With an '@' or '/' of the password in the clear, a part of the password
	// would be taken for the host or the database, and be told in errors.
	userInfo, afterUser, named := strings.Cut(rest, "@")
	misread := named && (strings.ContainsAny(userInfo, "/?#") || strings.Contains(afterUser, "@"))
	if !found || !scheme || misread || rest == "" || rest[0] == '/' {
		return nil, errPostgresURL
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The rest of its text may quote the password.
		if file, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, fmt.Errorf("a file that the URL names: %w", file)
		}
		return nil, errPostgresURL
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = postgresConnect
	}
	config.DefaultQueryExecMode = withoutPrepared(url, config.DefaultQueryExecMode)
	config.StatementCacheCapacity = min(config.StatementCacheCapacity, postgresStatements)
	config.DescriptionCacheCapacity = min(config.DescriptionCacheCapacity, postgresStatements)
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

// PostgresServer is one way to a server that a URL allows.
type PostgresServer struct {
	Host     string // a name or an address, without brackets; a folder for a socket
	Socket   bool
	Verified bool // with TLS, by a certificate for Host
}

// PostgresServers returns every way that pgx may take for url, with what the
// environment (PGHOST, PGSSLMODE) and a service file add to it. A URL may name
// several hosts, and sslmode=prefer tries each one with and without TLS. The
// error is that of [OpenPostgres].
func PostgresServers(url clienttoken.Secret) ([]PostgresServer, error) {
	config, err := parsePostgresURL(url.Reveal())
	if err != nil {
		return nil, err
	}
	server := func(host string, port uint16, with *tls.Config) PostgresServer {
		network, _ := pgconn.NetworkAddress(host, port)
		// verify-ca skips Go's verification, and has one that ignores the name.
		return PostgresServer{Host: host, Socket: network == "unix", Verified: with != nil && !with.InsecureSkipVerify}
	}
	servers := []PostgresServer{server(config.Host, config.Port, config.TLSConfig)}
	for _, next := range config.Fallbacks {
		servers = append(servers, server(next.Host, next.Port, next.TLSConfig))
	}
	return servers, nil
}

var errPostgresURL = errors.New("is no URL such as postgres://user:password@host:5432/database?sslmode=verify-full" +
	" (in the password, write '@', '/', ':', '?', '#' and '%' as %40, %2F, %3A, %3F, %23 and %25)")
