package listener

import (
	"context"
	"crypto/tls"
	"fmt"
	"log" //nolint:depguard // http.Server reports its own errors only to a log.Logger
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// acceptWithin bounds how long Drain accepts queued connections. More may arrive all
// the time.
const acceptWithin = time.Second

// Server is an HTTP server with its listener.
type Server struct {
	http        *http.Server
	acceptor    acceptor
	connections *connections
	served      chan struct{} // closed when Serve has returned
}

// Config configures a Server. All fields are required.
type Config struct {
	Name           string // in metrics
	Addr           string
	Handler        http.Handler
	MaxConnections int
	MaxHeader      int // bytes of a request's headers; net/http adds 4 KiB
	Logger         zerolog.Logger
	Registerer     prometheus.Registerer
}

// Listen opens the address. Its limits keep slow or large clients from holding up
// the service. The caller calls Serve, and Close in the end.
func Listen(ctx context.Context, c Config) (*Server, error) {
	opened, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	tcp, ok := opened.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("listening: got a %T", opened) // never: the network is tcp
	}
	all := newConnections(c.MaxConnections)
	all.observe(c.Name, c.Registerer)
	return &Server{
		acceptor:    acceptor{TCPListener: tcp, all: all},
		connections: all,
		served:      make(chan struct{}),
		http: &http.Server{
			ConnState:         all.stateChanged,
			ConnContext:       withConn,
			Handler:           all.follow(c.Handler),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			// Proxies keep connections for 60 or 90 s. The proxy must be the side
			// that closes an idle one: only it knows when its next request leaves.
			IdleTimeout:    120 * time.Second,
			MaxHeaderBytes: c.MaxHeader,
			// The handler answers "OPTIONS *", too.
			DisableGeneralOptionsHandler: true,
			ErrorLog:                     log.New(c.Logger.With().Str("log", "http").Logger(), "", 0),
		},
	}, nil
}

// UseTLS makes the server speak TLS. Call it before Serve. The configuration must
// not offer HTTP/2: the server expects one request at a time on a connection.
func (s *Server) UseTLS(config *tls.Config) { s.acceptor.tls = config }

// Addr is the address on which the server listens.
func (s *Server) Addr() string { return s.acceptor.Addr().String() }

// Serve accepts connections until Drain, Shutdown or Close.
func (s *Server) Serve() error {
	defer close(s.served)
	return s.http.Serve(s.acceptor) //nolint:wrapcheck // the caller wraps it
}

// Drain stops accepting connections. It then waits until every connection has no
// request under way and has been idle for keepIdle, or until ctx ends. It reports
// whether all connections have ended. Serve must be running.
//
// http.Server.Shutdown would drop requests read after the call, and requests on idle
// connections.
func (s *Server) Drain(ctx context.Context, keepIdle time.Duration) bool {
	accepting, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	s.acceptor.stop(accepting)
	<-s.served // until then Serve may accept one more
	return s.connections.drain(ctx, keepIdle)
}

// Cut closes all connections and waits, up to within, for their requests to end.
// It returns the number of requests without an answer.
func (s *Server) Cut(within time.Duration) int {
	s.connections.startCounting()
	_ = s.http.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	s.connections.waitUntilEmpty(ctx)
	return s.connections.countCut()
}

// Shutdown stops the server without the care of Drain: a request that arrives on
// an idle connection may be lost.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.http.Shutdown(ctx) //nolint:wrapcheck // the caller wraps it
}

// Close closes the listener and all connections.
func (s *Server) Close() {
	_ = s.http.Close()
	_ = s.acceptor.Close() // http.Server knows it only once Serve was called
}
