package app

import (
	"io"
	"time"

	"github.com/rs/zerolog"

	"dropgate/internal/audit"
)

// newLogger returns a logger with the level and format of c. out must allow
// concurrent writes and return no error. A hook of this package sets the time,
// since the precision of zerolog's own is a global variable.
func newLogger(c Config, out io.Writer) zerolog.Logger {
	if c.LogFormat == "console" {
		out = quiet{ConsoleWriter(out)}
	}
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // never: Load checks it
	}
	return zerolog.New(out).Level(level).Hook(timestamp{})
}

type timestamp struct{}

// Run implements zerolog.Hook.
func (timestamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	var text [len("2006-01-02T15:04:05.000Z")]byte // on the stack, since this runs for every line
	e.Bytes("time", audit.AppendTime(text[:0], time.Now()))
}
