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
)

// Sink takes the lines.
type Sink interface {
	// Append returns nil once the sink has accepted a line, and an error within
	// a bounded time otherwise. Where the sink may accept the line later, the
	// error is a [Late].
	Append(ctx context.Context, line []byte) error
	// Fault is why the sink accepts nothing now, or nil.
	Fault() error
}

// Late is the error of a sink that may accept a line after all.
type Late interface {
	error
	// Follow gives the sink a line to put after the late one, if it accepts that.
	Follow(line []byte)
}

// Trail writes entries. The zero Trail writes nothing.
type Trail struct {
	sink     Sink
	failures prometheus.Counter
	writers  *sync.Pool // of *accepted
}

// NewTrail returns a trail whose entries go to a sink.
func NewTrail(sink Sink, r prometheus.Registerer) Trail {
	t := Trail{sink: sink, failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "dropgate_audit_failures_total",
		Help: "Audit entries that the sink did not accept in time. What they were about did not leave the service.",
	})}
	r.MustRegister(t.failures)
	t.writers = &sync.Pool{New: func() any {
		w := &accepted{sink: sink}
		w.logger = zerolog.New(w)
		return w
	}}
	return t
}

// Write returns nil once the sink has accepted the entry's line, and an error
// within a bounded time otherwise. After an error, whatever the entry is about
// must not leave the service: if the sink accepts the line late, another line of
// the same request says so.
func (t Trail) Write(ctx context.Context, e *Entry) error {
	if t.sink == nil {
		return nil
	}
	err := t.accept(ctx, e)
	if err == nil {
		return nil
	}
	t.failures.Inc()
	if late, ok := errors.AsType[Late](err); ok {
		withdrawn := *e
		withdrawn.Outcome, withdrawn.TokenFingerprint = "withdrawn", ""
		withdrawn.Reason = "the sink accepted the entry before too late: the caller got an error"
		late.Follow(Line(&withdrawn))
	}
	return fmt.Errorf("the audit sink: %w", err)
}

func (t Trail) accept(ctx context.Context, e *Entry) error {
	w, ok := t.writers.Get().(*accepted)
	if !ok {
		panic("audit: something else in the pool")
	}
	w.ctx, w.err = ctx, nil
	write(&w.logger, e)
	err := w.err
	w.ctx, w.err = nil, nil
	t.writers.Put(w)
	return err
}

// Fault is why the sink accepts no entries now, or nil.
func (t Trail) Fault() error {
	if t.sink == nil {
		return nil
	}
	return t.sink.Fault()
}

// accepted hands one line to the sink. Its own error stays inside: zerolog would
// print it to a standard error that may be stuck, too.
type accepted struct {
	logger zerolog.Logger // writes to this
	sink   Sink
	ctx    context.Context //nolint:containedctx // of one call of Trail.Write
	err    error
}

// Write implements io.Writer.
func (w *accepted) Write(line []byte) (int, error) {
	w.err = w.sink.Append(w.ctx, line)
	return len(line), nil
}

// Line is an entry as it is written, with the line break.
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
	logger.Log(). // above every level
			Str("log", "audit").
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

// AppendTime appends a time as every log line has it: RFC 3339 in UTC, with three
// digits of milliseconds. Package time formats RFC 3339 four times as fast as any
// other layout, but has no such fraction.
func AppendTime(to []byte, t time.Time) []byte {
	t = t.UTC()
	to = t.AppendFormat(to, time.RFC3339)
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(to[:len(to)-len("Z")], '.', '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z')
}

// maxUserAgent bounds a User-Agent, in bytes. Those of browsers have 150.
const maxUserAgent = 256

// Printable is a User-Agent as entries have it: at most 256 bytes, with escapes
// for control characters.
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

// unprintable includes what stands for bytes that are no UTF-8.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
