package customerdb

import (
	"context"
	"errors"

	"github.com/pressly/goose/v3"

	"dropgate/internal/clienttoken"
	"dropgate/internal/postgres"
)

// connections is the size of a replica's pool by default. Five replicas and the sixth
// of a roll-out fit a server with its default limit of 100 connections.
const connections = 16

// OpenPostgres opens the database at url, such as
// postgres://user:password@host:5432/database?sslmode=verify-full. It does not
// connect, so the server may be down. Call [Database.Migrate] until it succeeds.
//
// Replicas may share the database, even with the application: all names start with
// dropgate_. PgBouncer in transaction mode works too.
//
// No error contains the url or the password. There may be several URLs (see
// [postgres.Open]).
func OpenPostgres(url clienttoken.Secret) (*Database, error) {
	pool, err := postgres.Open(url, connections)
	if err != nil {
		return nil, err
	}
	return &Database{
		reads:      pool.DB,
		writes:     pool.DB,
		rotate:     pool.Rotate,
		lost:       pool.Lost,
		dialect:    goose.DialectPostgres,
		skipLocked: " FOR UPDATE SKIP LOCKED",
		forShare:   " FOR SHARE",
	}, nil
}

// SetMaxConnections sets the size of the pool. Call it before all other methods.
func (d *Database) SetMaxConnections(n int) { postgres.SetMaxConnections(d.writes, n) }

// Rotate replaces the user and the password of PostgreSQL (see [postgres.Pool.Rotate]).
func (d *Database) Rotate(ctx context.Context, urls clienttoken.Secret) error {
	if d.rotate == nil {
		return errors.New("SQLite has no password")
	}
	return d.rotate(ctx, urls)
}
