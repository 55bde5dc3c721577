package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"
)

// acceptor accepts connections as *conn.
type acceptor struct {
	*net.TCPListener

	all *connections
	tls *tls.Config // nil: plain HTTP
}

// Accept implements net.Listener.
func (a acceptor) Accept() (net.Conn, error) {
	accepted, err := a.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		accepted, err = a.acceptQueued()
	}
	if err != nil {
		return nil, err
	}
	if a.tls == nil {
		return &conn{Conn: accepted, tcp: accepted, all: a.all}, nil
	}
	// The first Read does the handshake, within the timeout of a header.
	return &conn{Conn: tls.Server(accepted, a.tls), tcp: accepted, all: a.all}, nil
}

// stop closes the listener once its queue is empty, or when ctx ends. Closing it
// earlier would make the kernel reset queued connections, which their clients
// already use.
func (a acceptor) stop(ctx context.Context) {
	context.AfterFunc(ctx, func() { _ = a.Close() })
	_ = a.SetDeadline(time.Now())
}

// acceptQueued is Accept after stop. It closes the listener when the queue is
// empty.
func (a acceptor) acceptQueued() (*net.TCPConn, error) {
	_ = a.SetDeadline(time.Now().Add(graceTCP))
	accepted, err := a.AcceptTCP()
	if err != nil {
		_ = a.Close()
		return nil, net.ErrClosed // http.Server would try again after a timeout
	}
	return accepted, nil
}
