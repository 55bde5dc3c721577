package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/linewriter"
)

// auditToStdout is the value of AUDIT_LOG for an audit trail inside the log.
const auditToStdout = "stdout"

// output is the log, and the file of the audit trail if it has one. No part of the
// process waits for the log.
type output struct {
	log   *linewriter.Writer
	audit *linewriter.Writer // equals log without a file
	file  *linewriter.File   // nil without a file
	sink  audit.Sink         // writes to audit, formatted for the console if LOG_FORMAT says so
}

// openOutput opens AUDIT_LOG. The caller closes the output.
func openOutput(c Config, std io.Writer) (*output, error) {
	var o output
	if c.AuditLog != auditToStdout && c.AuditLog != "" {
		var err error
		if o.file, err = linewriter.OpenFile(c.AuditLog); err != nil {
			return nil, fmt.Errorf("AUDIT_LOG: %w", err)
		}
	}
	o.log = linewriter.New(linewriter.Config{To: std, Recovered: func(r linewriter.Recovery) []byte {
		return recoveredLine(c, r)
	}})
	o.audit, o.sink = o.log, o.log
	if o.file != nil {
		o.audit = linewriter.New(linewriter.Config{To: o.file, Recovered: func(r linewriter.Recovery) []byte {
			return audit.Line(&audit.Entry{Event: audit.Opened, Outcome: "recovered", Reason: outputReason(r.Fault)})
		}})
		o.sink = o.audit
	} else if c.LogFormat == "console" {
		o.sink = consoleSink{o.log}
	}
	return &o, nil
}

// recoveredLine is the first line of the log after an outage of its output.
func recoveredLine(c Config, r linewriter.Recovery) []byte {
	var line lineBuffer
	logger := newLogger(c, &line)
	logger.Warn().Uint64("dropped", r.Dropped).Str("reason", outputReason(r.Fault)).
		Msg("log output recovered; lines before this one were dropped")
	return line
}

// lineBuffer is a writer into memory.
type lineBuffer []byte

// Write implements io.Writer.
func (b *lineBuffer) Write(line []byte) (int, error) {
	*b = append(*b, line...)
	return len(line), nil
}

// consoleSink writes audit lines in the console format.
type consoleSink struct{ *linewriter.Writer }

// Append implements audit.Sink.
func (s consoleSink) Append(ctx context.Context, line []byte) error {
	var shown lineBuffer
	if _, err := ConsoleWriter(&shown).Write(line); err != nil {
		return fmt.Errorf("formatting for the console: %w", err)
	}
	return s.Writer.Append(ctx, shown)
}

// outputReason says why an output failed, without file names.
func outputReason(err error) string {
	if err == nil {
		return "the output did not keep up"
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return file.Err.Error()
	}
	return err.Error()
}

// outputError is an error of an output.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// fault returns an output's current error, for readiness.
func fault(of interface{ Fault() error }) error {
	if err := of.Fault(); err != nil {
		return &outputError{err}
	}
	return nil
}

// observe registers the metric of dropped lines.
func (o *output) observe(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "dropgate_log_lines_dropped_total",
		Help: "Log lines, including access lines, that were dropped because standard output failed or was too slow.",
	}, func() float64 { return float64(o.log.Dropped()) }))
}

// begin writes the first line of an audit file, to see whether it accepts lines.
// Without a file, the first line of the log does the same.
func (a *App) begin(outcome string) {
	if a.out.file == nil {
		return
	}
	err := a.trail.Write(context.Background(), &audit.Entry{Event: audit.Opened, Outcome: outcome})
	if err != nil {
		a.log.Error().Err(err).Msg("AUDIT_LOG accepts no lines; users get 503")
	}
}

// Reopen opens the file of AUDIT_LOG again, for example after it was renamed. On an
// error, the old file stays in use.
func (a *App) Reopen() {
	if a.out.file == nil {
		a.log.Info().Msg("SIGHUP: AUDIT_LOG is stdout, so there is no file to reopen")
		return
	}
	if err := a.out.file.Reopen(); err != nil {
		a.log.Error().Err(err).Msg("SIGHUP: AUDIT_LOG could not be reopened; the old file stays in use")
		return
	}
	a.log.Info().Msg("SIGHUP: AUDIT_LOG was reopened")
	a.begin("reopened")
}

// Log is a writer for libraries with plain-text logs.
func (a *App) Log() io.Writer { return a.log.With().Str("log", "library").Logger() }

// lastLinesWithin bounds the wait for the last lines: an output may hang.
const lastLinesWithin = time.Second

func (o *output) close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastLinesWithin)
	defer cancel()
	if o.file != nil && o.audit.Close(ctx) == nil {
		_ = o.file.Close() // every line was accepted
	}
	_ = o.log.Close(ctx) // an error could only go to the log
}

// ConsoleWriter turns JSON lines of the log into lines for people.
func ConsoleWriter(out io.Writer) zerolog.ConsoleWriter {
	return zerolog.ConsoleWriter{
		Out: out, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName},
		FormatPrepare: func(members map[string]any) error {
			if members["log"] == "audit" {
				members[zerolog.LevelFieldName] = "audit"
			}
			return nil
		},
		FormatLevel: func(level any) string {
			if level == nil {
				return "-" // a library's line
			}
			return fmt.Sprint(level)
		},
	}
}

// quiet hides write errors. zerolog would print them to standard error, which may
// hang, too.
type quiet struct{ io.Writer }

// Write implements io.Writer.
func (q quiet) Write(line []byte) (int, error) {
	_, _ = q.Writer.Write(line)
	return len(line), nil
}
