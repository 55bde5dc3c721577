package app

import (
	"context"
	"fmt"
	"io"
	"log" //nolint:depguard // http.Server reports its own faults to nothing else
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
)

// server is an HTTP server and the listener that it will serve.
type server struct {
	http        *http.Server
	listener    listener
	connections *connections
	served      chan struct{} // closed when serve has returned
}

// mostConnections is how many a listener has at once. net/http keeps some 20 KiB
// for an idle one, and more for one whose body is slow: with 4 000 of these the
// heap stood at memoryLimit, and the collector ran all the time (make test-faults).
const mostConnections = 3_000

// listen opens addr for h, with the limits that keep slow or large clients from
// holding the service up.
func listen(ctx context.Context, addr string, h http.Handler, logger zerolog.Logger) (*server, error) {
	opened, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	tcp, ok := opened.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("listening: %T", opened) // never: it is of "tcp"
	}
	all := newConnections(mostConnections)
	return &server{
		listener:    listener{TCPListener: tcp, all: all},
		connections: all,
		served:      make(chan struct{}),
		http: &http.Server{
			ConnState:         all.changed,
			ConnContext:       withConn,
			Handler:           all.following(h),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			// Longer than proxies keep a connection to us, 60 or 90 s: whoever
			// closes an idle one must be the side that sends the next request.
			IdleTimeout:    120 * time.Second,
			MaxHeaderBytes: 16 << 10,
			// "OPTIONS *" is answered by us, like everything else.
			DisableGeneralOptionsHandler: true,
			ErrorLog:                     log.New(logger.With().Str("log", "http").Logger(), "", 0),
		},
	}, nil
}

// serve takes in connections until the listener is closed.
func (s *server) serve() error {
	defer close(s.served)
	return s.http.Serve(s.listener) //nolint:wrapcheck // Serve wraps it
}

// newLogger writes to out as c wants it. Out takes lines of several callers at
// once and returns no error. The time is set here and not by
// zerolog's own hook, whose precision is a variable of the whole process.
func newLogger(c Config, out io.Writer) zerolog.Logger {
	if c.LogFormat == "console" {
		out = quiet{forPeople(out)}
	}
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // only without Load
	}
	return zerolog.New(out).Level(level).Hook(timestamp{})
}

type timestamp struct{}

// Run implements zerolog.Hook.
func (timestamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	var text [len("2006-01-02T15:04:05.000Z")]byte // on the stack: this runs for every line
	e.Bytes("time", audit.AppendTime(text[:0], time.Now()))
}

// newRegistry returns a registry with what every Go service shows, and the
// version.
func newRegistry(version string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "dropgate_build_info",
		Help:        "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
