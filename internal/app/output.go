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

// auditToStdout is the AUDIT_LOG that puts the audit trail into the log.
const auditToStdout = "stdout"

// output is where lines go: the log, and the audit trail where that has a file
// of its own. Nothing in the process waits for the log.
type output struct {
	log   *linewriter.Writer
	audit *linewriter.Writer // log, without a file
	file  *linewriter.File   // nil without a file
	sink  audit.Sink         // audit, in the form of LOG_FORMAT where that counts
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

// recoveredLine is the log's first line after the output did not take lines.
func recoveredLine(c Config, r linewriter.Recovery) []byte {
	var line lineBuffer
	logger := newLogger(c, &line)
	logger.Warn().Uint64("dropped", r.Dropped).Str("reason", outputReason(r.Fault)).
		Msg("the log goes on; lines before this one were dropped")
	return line
}

// lineBuffer is the memory that a line is written to.
type lineBuffer []byte

// Write implements io.Writer.
func (b *lineBuffer) Write(line []byte) (int, error) {
	*b = append(*b, line...)
	return len(line), nil
}

// consoleSink writes the audit lines of a log for people as people read them.
type consoleSink struct{ *linewriter.Writer }

// Append implements audit.Sink.
func (s consoleSink) Append(ctx context.Context, line []byte) error {
	var shown lineBuffer
	if _, err := forPeople(&shown).Write(line); err != nil {
		return fmt.Errorf("a line for people: %w", err)
	}
	return s.Writer.Append(ctx, shown)
}

// outputReason is why an output failed, without the names of files.
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

// outputError is the fault of an output.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// fault is why an output takes no lines now, for readiness.
func fault(of interface{ Fault() error }) error {
	if err := of.Fault(); err != nil {
		return &outputError{err}
	}
	return nil
}

// observe publishes how many lines of the log were dropped.
func (o *output) observe(r prometheus.Registerer) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "dropgate_log_lines_dropped_total",
		Help: "Lines of the log, access lines among them, that were dropped because standard output failed or did not keep up.",
	}, func() float64 { return float64(o.log.Dropped()) }))
}

// begin writes the first line of an audit file, which shows whether it takes
// any. Without a file the log's own first line does that.
func (a *App) begin(outcome string) {
	if a.out.file == nil {
		return
	}
	err := a.trail.Write(context.Background(), &audit.Entry{Event: audit.Opened, Outcome: outcome})
	if err != nil {
		a.log.Error().Err(err).Msg("AUDIT_LOG takes no lines: users get 503")
	}
}

// Reopen opens the file of AUDIT_LOG again, after it was renamed. Without a file
// it does nothing; on an error the file before stays in use.
func (a *App) Reopen() {
	if a.out.file == nil {
		a.log.Info().Msg("SIGHUP: AUDIT_LOG is stdout, there is nothing to reopen")
		return
	}
	if err := a.out.file.Reopen(); err != nil {
		a.log.Error().Err(err).Msg("SIGHUP: AUDIT_LOG could not be reopened; the file before stays in use")
		return
	}
	a.log.Info().Msg("SIGHUP: AUDIT_LOG was reopened")
	a.begin("reopened")
}

// Log is the log, for libraries that write text of their own.
func (a *App) Log() io.Writer { return a.log.With().Str("log", "library").Logger() }

// lastLinesWithin bounds the wait for the last lines. An output that is stuck
// does not hold up the end of the process.
const lastLinesWithin = time.Second

func (o *output) close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastLinesWithin)
	defer cancel()
	if o.file != nil && o.audit.Close(ctx) == nil {
		_ = o.file.Close() // every line was accepted
	}
	_ = o.log.Close(ctx) // nobody is left who could be given an error
}

// forPeople is a writer that makes lines for people of JSON.
func forPeople(out io.Writer) zerolog.ConsoleWriter {
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

// quiet keeps an error of making a line inside: zerolog would print it to a
// standard error that may be stuck, too.
type quiet struct{ io.Writer }

// Write implements io.Writer.
func (q quiet) Write(line []byte) (int, error) {
	_, _ = q.Writer.Write(line)
	return len(line), nil
}
