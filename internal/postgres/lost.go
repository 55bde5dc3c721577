package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

// Lost returns how many connections broke. Connections that the pool closed do not count,
// nor do calls that ran out of time.
func (p *Pool) Lost() uint64 { return p.connector.lost.Load() }

// counting returns a dial function that counts the connections that break.
func counting(dial pgconn.DialFunc, lost *atomic.Uint64) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, lost: lost}, nil
	}
}

// countedConn counts once if its connection breaks.
type countedConn struct {
	net.Conn

	lost *atomic.Uint64
	once sync.Once
}

// Read implements net.Conn.
func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.note(err)
	return n, err //nolint:wrapcheck // pgx looks at its type
}

// Write implements net.Conn.
func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.note(err)
	return n, err //nolint:wrapcheck // pgx looks at its type
}

func (c *countedConn) note(err error) {
	var timeout net.Error
	if err == nil || errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout() {
		return
	}
	c.once.Do(func() { c.lost.Add(1) })
}
