package app

import (
	"context"
	"fmt"
	"io"
	"log" //nolint:depguard // http.Server reports its own faults to nothing else
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// server is an HTTP server and the listener that it will serve.
type server struct {
	http     *http.Server
	listener net.Listener
}

// listen opens addr for h, with the limits that keep slow or large clients from
// holding the service up.
func listen(ctx context.Context, addr string, h http.Handler, logger zerolog.Logger) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return &server{
		listener: listener,
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       60 * time.Second,
			MaxHeaderBytes:    16 << 10,
			// "OPTIONS *" is answered by us, like everything else.
			DisableGeneralOptionsHandler: true,
			ErrorLog:                     log.New(logger.With().Str("log", "http").Logger(), "", 0),
		},
	}, nil
}

// newLogger writes to out as c wants it. The time is set here and not by
// zerolog's own hook, whose precision is a variable of the whole process.
func newLogger(c Config, out io.Writer) zerolog.Logger {
	if c.LogFormat == "console" {
		out = zerolog.ConsoleWriter{
			Out: out, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName},
			FormatLevel: func(level any) string {
				if level == nil {
					return "audit" // the only lines without a level
				}
				return fmt.Sprint(level)
			},
		}
	}
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // only without Load
	}
	// Lines of requests that end at the same time must not mix in any writer.
	return zerolog.New(zerolog.SyncWriter(out)).Level(level).Hook(timestamp{})
}

type timestamp struct{}

// Run implements zerolog.Hook.
func (timestamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	var text [len("2006-01-02T15:04:05.000Z")]byte // on the stack: this runs for every line
	e.Bytes("time", time.Now().UTC().AppendFormat(text[:0], "2006-01-02T15:04:05.000Z"))
}
