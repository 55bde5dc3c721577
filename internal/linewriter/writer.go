package linewriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// stuckAfter is the age of a stuck write(2). All waiting lines of Append then
	// fail. So a line waits for at most two seconds: for the write before it and its
	// own.
	stuckAfter = time.Second
	// retryEvery is the pause between attempts to write to a broken output.
	retryEvery = 250 * time.Millisecond
	// gatherFor is how long lines of Write wait to share a write(2) with others.
	// Lines of Append do not wait, and share their write(2) with all waiting lines.
	gatherFor = 5 * time.Millisecond
	// maxWaiting bounds the waiting lines of each kind, in bytes.
	maxWaiting = 256 << 10
)

var (
	// ErrStuck reports a write that has not returned for a second.
	ErrStuck = errors.New("the output is stuck: a write does not return")
	// ErrFull reports too many waiting lines.
	ErrFull = errors.New("too many lines are waiting for the output")
	// ErrClosed reports a closed writer.
	ErrClosed = errors.New("the output is closed")
)

// Recovery describes an outage of the output that has ended.
type Recovery struct {
	Fault   error  // of the last failed write; nil if lines were dropped without a failure
	Dropped uint64 // lines of Write dropped since the last recovery
}

// Config configures a Writer.
type Config struct {
	// To is the output. The writer calls its Write from one goroutine.
	To io.Writer
	// Recovered makes a line for the start of the first write after a failure. A
	// broken output is also tested with it while no line waits.
	Recovered func(Recovery) []byte
}

// Writer writes lines to one output. It is safe for concurrent use.
type Writer struct {
	config Config
	lines  sync.Pool     // of *line
	wake   chan struct{} // holds one token while there is work
	gather *time.Timer   // rouses the goroutine for lines of Write
	watch  *time.Timer   // fails the lines of a stuck write
	// Resetting these timers for each write would cost more than letting them fire.
	closed chan struct{}
	ended  chan struct{} // the goroutine has returned

	mu        sync.Mutex
	must      []*line // of Append, the oldest first
	underWay  []*line // those of the write under way
	mustBytes int
	loose     []byte    // whole lines of Write
	since     time.Time // start of the write under way, or zero
	failed    error     // error of the last write, or nil
	torn      bool      // the output ends within a line
	lost      uint64
	reported  uint64 // the part of lost in the last recovery line
	closing   bool
	gathering bool // gather is running
	watching  bool // watch is running
}

// line is one line of Append.
type line struct {
	text   []byte
	result chan error // has room for one; nil for a line of Follow

	// Under the writer's lock:
	state  state
	after  int // the length of the loose lines before it
	err    error
	follow []byte // written after the line, if that is accepted late
}

type state int

const (
	waiting state = iota
	underWay
	abandoned // under way, and its caller has given up
	settled
)

// New returns a writer to c.To. The caller must close it.
func New(c Config) *Writer {
	w := &Writer{
		config: c,
		wake:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		ended:  make(chan struct{}),
	}
	w.gather = time.AfterFunc(time.Hour, w.gathered)
	w.gather.Stop()
	w.watch = time.AfterFunc(time.Hour, w.abandon)
	w.watch.Stop()
	w.lines.New = func() any { return &line{result: make(chan error, 1)} }
	go w.run()
	return w
}

func (w *Writer) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Write queues whole lines. It never blocks and never returns an error. Without room it
// drops the lines, and [Writer.Dropped] counts them.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || len(w.loose)+len(lines) > maxWaiting {
		w.lost += count(lines)
		return len(lines), nil
	}
	if !w.gathering {
		w.gathering = true
		w.gather.Reset(gatherFor)
	}
	w.loose = append(w.loose, lines...)
	return len(lines), nil
}

// gathered rouses the goroutine for lines of Write still waiting.
func (w *Writer) gathered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = false
	if len(w.loose) > 0 {
		w.rouse()
	}
}

// Append returns nil once the output has accepted a line. It returns an error at once
// while the output is broken or known to be stuck, and after two seconds at the latest.
// Only after a *[LateError] may the output still get the line.
func (w *Writer) Append(ctx context.Context, text []byte) error {
	l, ok := w.lines.Get().(*line)
	if !ok {
		return ErrClosed // never: the pool holds only lines
	}
	l.text = append(l.text[:0], text...)
	l.state, l.err, l.follow = waiting, nil, nil
	if err := w.enqueue(l); err != nil {
		w.lines.Put(l)
		return err
	}
	w.rouse()
	if ctx.Done() == nil { // cheaper than select
		return w.result(l, <-l.result)
	}
	select {
	case err := <-l.result:
		return w.result(l, err)
	case <-ctx.Done():
		return w.giveUp(l, ctx.Err())
	}
}

// result returns a line to the pool, unless the writer may still need it.
func (w *Writer) result(l *line, err error) error {
	if !errors.Is(err, ErrStuck) {
		w.lines.Put(l)
	}
	return err
}

// abandon fails the lines of a stuck write, and those behind it.
func (w *Writer) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watching = false
	if w.since.IsZero() {
		return
	}
	if left := stuckAfter - time.Since(w.since); left > 0 { // a later write
		w.watching = true
		w.watch.Reset(left)
		return
	}
	for _, l := range w.underWay {
		if l.state == underWay && l.result != nil {
			l.state = abandoned
			l.result <- &LateError{Reason: ErrStuck, writer: w, line: l}
		}
	}
	w.must = slices.DeleteFunc(w.must, func(l *line) bool {
		if l.result == nil {
			return false
		}
		w.mustBytes -= len(l.text)
		l.result <- ErrStuck
		return true
	})
}

func (w *Writer) enqueue(l *line) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return ErrClosed
	}
	if err := w.fault(); err != nil {
		return err
	}
	if w.mustBytes+len(l.text) > maxWaiting {
		return ErrFull
	}
	l.after = len(w.loose)
	w.must = append(w.must, l)
	w.mustBytes += len(l.text)
	return nil
}

// giveUp withdraws a line, or returns a *LateError if the write is under way.
func (w *Writer) giveUp(l *line, reason error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.state == underWay {
		l.state = abandoned
		return &LateError{Reason: reason, writer: w, line: l}
	}
	at := slices.Index(w.must, l)
	if at < 0 {
		return <-l.result // already settled
	}
	w.must = slices.Delete(w.must, at, at+1)
	w.mustBytes -= len(l.text)
	return reason
}

// LateError reports a line that the output may still accept.
type LateError struct {
	Reason error

	writer *Writer
	line   *line
}

func (e *LateError) Error() string {
	return e.Reason.Error() + "; the line may still be written"
}

// Unwrap returns the reason.
func (e *LateError) Unwrap() error { return e.Reason }

// Follow writes another line after the late one, if the output accepts the late one.
func (e *LateError) Follow(text []byte) {
	e.writer.mu.Lock()
	defer e.writer.mu.Unlock()
	if e.line.state != settled {
		e.line.follow = bytes.Clone(text)
	} else if e.line.err == nil {
		e.writer.follow(text)
	}
}

// follow queues a line before all others, without a caller who waits.
func (w *Writer) follow(text []byte) {
	w.must = slices.Insert(w.must, 0, &line{text: bytes.Clone(text)})
	w.mustBytes += len(text)
	w.rouse()
}

// Fault is the reason why the output accepts no lines now, or nil.
func (w *Writer) Fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault()
}

func (w *Writer) fault() error {
	if w.failed != nil {
		return w.failed
	}
	if !w.since.IsZero() && time.Since(w.since) >= stuckAfter {
		return ErrStuck
	}
	return nil
}

// Dropped is the number of dropped lines of Write.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close writes the waiting lines and accepts no more. It gives up when ctx ends, because
// a stuck write cannot be interrupted.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closing {
		w.closing = true
		close(w.closed)
	}
	w.mu.Unlock()
	w.rouse()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("writing the last lines: %w", ctx.Err())
	}
}

func count(lines []byte) uint64 {
	return uint64(bytes.Count(lines, []byte{'\n'})) //nolint:gosec // never negative
}
