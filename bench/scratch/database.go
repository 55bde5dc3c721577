package scratch

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"dropgate/internal/clienttoken"
)

// Database is a private database. PostgreSQL counts transactions and sizes for each
// database. Create one with [NewDatabase] and remove it with [Database.Drop].
type Database struct {
	// URL is the server's URL with this database.
	URL clienttoken.Secret
	// Name is its plain name.
	Name string

	admin *sql.DB
}

// NewDatabase creates a database on the server at a URL such as
// postgres://user:password@host:5432/database. The user needs the privilege CREATEDB.
func NewDatabase(ctx context.Context, server string) (*Database, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("invalid URL of the server") // hides the password
	}
	d := &Database{Name: strings.ToLower("dropgate_bench_" + rand.Text())}
	parsed.Path = "/" + d.Name
	d.URL = clienttoken.NewSecret(parsed.String())
	if d.admin, err = sql.Open("pgx", server); err != nil {
		return nil, fmt.Errorf("reading the server's URL: %w", err)
	}
	if _, err := d.admin.ExecContext(ctx, "CREATE DATABASE "+d.quoted()); err != nil {
		_ = d.admin.Close()
		return nil, fmt.Errorf("making a database (the user needs CREATEDB): %w", err)
	}
	return d, nil
}

func (d *Database) quoted() string { return pgx.Identifier{d.Name}.Sanitize() }

// Transactions returns how many transactions the database has had. Idle connections
// report theirs within eleven seconds.
func (d *Database) Transactions(ctx context.Context) (float64, error) {
	var n float64
	err := d.admin.QueryRowContext(ctx, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1", d.Name).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting transactions: %w", err)
	}
	return n, nil
}

// Size returns the bytes of all tables and indexes.
func (d *Database) Size(ctx context.Context) (float64, error) {
	var n float64
	if err := d.admin.QueryRowContext(ctx, "SELECT pg_database_size($1)", d.Name).Scan(&n); err != nil {
		return 0, fmt.Errorf("measuring the database: %w", err)
	}
	return n, nil
}

// Connection is a server process for one connection to the database.
type Connection struct {
	PID         int
	Application string // application_name
}

// Connections returns the open connections to the database.
func (d *Database) Connections(ctx context.Context) ([]Connection, error) {
	rows, err := d.admin.QueryContext(ctx, "SELECT pid, application_name FROM pg_stat_activity WHERE datname = $1", d.Name)
	if err != nil {
		return nil, fmt.Errorf("listing connections: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Connection
	for rows.Next() {
		var c Connection
		if err := rows.Scan(&c.PID, &c.Application); err != nil {
			return nil, fmt.Errorf("listing connections: %w", err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing connections: %w", err)
	}
	return all, nil
}

// Drop removes the database, and closes connections left over.
func (d *Database) Drop() error {
	// Also after an interrupt.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer func() { _ = d.admin.Close() }()
	if _, err := d.admin.ExecContext(ctx, "DROP DATABASE "+d.quoted()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("the database %s is left behind: %w", d.Name, err)
	}
	return nil
}
