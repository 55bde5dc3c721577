package postgres

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// follower closes connections to a server that a fail-over has made read-only. Such a
// server keeps its connections, so they would refuse writes, and answer reads with old
// rows, for their whole lifetime. New connections find the new primary.
type follower struct {
	// readOnlyAt is when a connection last found its server read-only, as Unix time in
	// nanoseconds. Older connections are not used again.
	readOnlyAt atomic.Int64
}

// connector returns what opens connections with a follower. The pool also refuses a
// connection if stale returns an error.
func (f *follower) connector(config pgx.ConnConfig, stale func() error) driver.Connector {
	otherwise := config.OnPgError
	config.OnPgError = func(c *pgconn.PgConn, answer *pgconn.PgError) bool {
		if answer.Code == readOnlyTransaction {
			return !f.outdated(c)
		}
		return otherwise(c, answer)
	}
	reset := func(_ context.Context, c *pgx.Conn) error {
		if err := stale(); err != nil {
			return err
		}
		return f.reset(c)
	}
	return stdlib.GetConnector(config, stdlib.OptionAfterConnect(opened), stdlib.OptionResetSession(reset))
}

// openedAt is the key of a connection's opening time.
const openedAt = "dropgate.openedAt"

func opened(_ context.Context, c *pgx.Conn) error {
	c.PgConn().CustomData()[openedAt] = time.Now()
	return nil
}

// readOnlyTransaction is the SQLSTATE of a write to a read-only server.
const readOnlyTransaction = "25006"

// retryReadOnly is the age at which a connection to a read-only server is replaced. It
// bounds the connections per second to a server that stays read-only.
const retryReadOnly = time.Second

// outdated notes that the server is read-only, and reports whether to close the
// connection. Connections just opened stay: a new one would find the same server.
func (f *follower) outdated(c *pgconn.PgConn) bool {
	at, ok := c.CustomData()[openedAt].(time.Time)
	if !ok || time.Since(at) < retryReadOnly {
		return false
	}
	f.readOnlyAt.Store(time.Now().UnixNano())
	return true
}

// reset refuses a connection of the pool that was opened before its server was found
// to be read-only. The pool then opens another one.
func (f *follower) reset(c *pgx.Conn) error {
	if at, ok := c.PgConn().CustomData()[openedAt].(time.Time); ok && at.UnixNano() < f.readOnlyAt.Load() {
		return driver.ErrBadConn
	}
	return nil
}
