package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/latency"
)

// Sink accepts lines.
type Sink interface {
	// Append returns nil once the sink has accepted a line, or else an error within
	// a bounded time. If the sink may still accept the line, the error is a [Late].
	Append(ctx context.Context, line []byte) error
	// Fault returns the reason why the sink accepts no lines now, or nil.
	Fault() error
}

// Late is the error of a sink that may still accept the line.
type Late interface {
	error
	// Follow gives the sink a line to write after the late one, if it accepts that.
	Follow(line []byte)
}

// Trail writes entries to a sink. The zero Trail discards them.
type Trail struct {
	sink     Sink
	failures prometheus.Counter
	duration prometheus.Observer
	written  prometheus.Gauge // Unix time
	writers  *sync.Pool       // of *accepted
}

// NewTrail returns a trail to a sink.
func NewTrail(sink Sink, r prometheus.Registerer) Trail {
	duration := prometheus.NewHistogram(latency.Store("dropgate_audit_write_duration_seconds",
		"Time until the audit sink accepted or refused an entry. Requests wait for it."))
	t := Trail{
		sink: sink, duration: duration,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dropgate_audit_failures_total",
			Help: "Audit entries the sink did not accept in time. Their effects did not leave the service.",
		}),
		written: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dropgate_audit_last_write_timestamp_seconds",
			Help: "Unix time of the last entry that the audit sink accepted; 0 before the first.",
		}),
	}
	r.MustRegister(t.failures, duration, t.written)
	t.writers = &sync.Pool{New: func() any {
		w := &accepted{sink: sink}
		w.logger = zerolog.New(w)
		return w
	}}
	return t
}

// Write returns nil once the sink has accepted the entry, or else an error within a
// bounded time. After an error, the effect of the entry must not leave the service.
// If the sink accepts the line later, a line with the outcome "withdrawn" follows.
func (t Trail) Write(ctx context.Context, e *Entry) error {
	if t.sink == nil {
		return nil
	}
	began := time.Now()
	err := t.accept(ctx, e)
	ended := time.Now()
	latency.Observe(ctx, t.duration, ended.Sub(began))
	if err == nil {
		t.written.Set(float64(ended.UnixMilli()) / 1000)
		return nil
	}
	t.failures.Inc()
	if late, ok := errors.AsType[Late](err); ok {
		withdrawn := *e
		withdrawn.Outcome, withdrawn.TokenFingerprint = "withdrawn", ""
		withdrawn.Reason = "the sink accepted the previous entry too late; the caller got an error"
		late.Follow(Line(&withdrawn))
	}
	return fmt.Errorf("the audit sink: %w", err)
}

func (t Trail) accept(ctx context.Context, e *Entry) error {
	w, ok := t.writers.Get().(*accepted)
	if !ok {
		panic("audit: unexpected type in the pool")
	}
	w.ctx, w.err = ctx, nil
	write(&w.logger, e)
	err := w.err
	w.ctx, w.err = nil, nil
	t.writers.Put(w)
	return err
}

// Fault returns the reason why the sink accepts no entries now, or nil.
func (t Trail) Fault() error {
	if t.sink == nil {
		return nil
	}
	return t.sink.Fault()
}

// accepted passes one line to the sink and keeps the error. zerolog would print the
// error to standard error, which may be stuck too.
type accepted struct {
	logger zerolog.Logger // writes to this
	sink   Sink
	ctx    context.Context //nolint:containedctx // for one call of Trail.Write
	err    error
}

// Write implements io.Writer.
func (w *accepted) Write(line []byte) (int, error) {
	w.err = w.sink.Append(w.ctx, line)
	return len(line), nil
}

// Line returns the line of an entry, with its line break.
func Line(e *Entry) []byte {
	var line bytes.Buffer
	logger := zerolog.New(&line)
	write(&logger, e)
	return line.Bytes()
}

func write(logger *zerolog.Logger, e *Entry) {
	var now, changed [len("2006-01-02T15:04:05.000Z")]byte
	changedAt := changed[:0]
	if !e.ChangedAt.IsZero() {
		changedAt = AppendTime(changedAt, e.ChangedAt)
	}
	line := logger.Log() // above every level
	if e.TraceID != "" {
		line.Str("trace_id", e.TraceID)
	}
	line.Str("log", "audit").
		Str("event", string(e.Event)).
		Str("id", e.ID).
		Str("request_id", e.RequestID).
		Str("proxy_request_id", e.ProxyRequestID).
		Str("client_ip", e.ClientIP).
		Str("user_agent", Printable(e.UserAgent)).
		Str("mode", e.Mode).
		Str("operator", e.Operator).
		Str("user", e.User).
		Str("customer", e.Customer).
		Str("action", e.Action).
		Str("outcome", e.Outcome).
		Str("reason", e.Reason).
		Str("dwolla_request_id", e.DwollaRequestID).
		Str("token_sha256_prefix", e.TokenFingerprint).
		Bytes("changed_at", changedAt).
		Bytes("time", AppendTime(now[:0], time.Now())).
		Send()
}

// AppendTime appends a time in the format of all log lines: RFC 3339 in UTC with
// milliseconds. Package time has no fast path for this fraction, and formats other
// layouts four times slower than RFC 3339.
func AppendTime(to []byte, t time.Time) []byte {
	t = t.UTC()
	to = t.AppendFormat(to, time.RFC3339)
	const digits = "0123456789"
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(to[:len(to)-len("Z")], '.', digits[ms/100], digits[ms/10%10], digits[ms%10], 'Z')
}

// maxUserAgent is in bytes. Browsers send about 150.
const maxUserAgent = 256

// Printable returns a User-Agent for an entry: at most 256 bytes, with control
// characters escaped.
func Printable(text string) string {
	if len(text) <= maxUserAgent && (plain(text) || strings.IndexFunc(text, unprintable) < 0) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		shown := string(r)
		if unprintable(r) {
			shown = strings.Trim(strconv.QuoteRuneToASCII(r), "'")
		}
		if b.Len()+len(shown) > maxUserAgent {
			break
		}
		b.WriteString(shown)
	}
	return b.String()
}

// plain reports whether text is printable ASCII, as nearly every User-Agent is.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// unprintable includes the replacement character for invalid UTF-8.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
