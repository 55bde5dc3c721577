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
	// stuckAfter is when a write(2) counts as stuck. All lines of Append that wait
	// then are given up, so that one waits for two such times at most: for the
	// write before it and for its own.
	stuckAfter = time.Second
	// retryEvery is the pause between attempts to write to a broken output.
	retryEvery = 250 * time.Millisecond
	// gatherFor is how long lines of Write wait for others to share a write(2)
	// with. Lines of Append do not wait, and take the others along.
	gatherFor = 5 * time.Millisecond
	// maxWaiting bounds the lines of each kind that wait, in bytes.
	maxWaiting = 256 << 10
)

var (
	// ErrStuck says that a write has not returned for a second.
	ErrStuck = errors.New("the output is stuck: a write does not return")
	// ErrFull says that too many lines wait.
	ErrFull = errors.New("too many lines wait for the output")
	// ErrClosed says that the writer was closed.
	ErrClosed = errors.New("the output is closed")
)

// Recovery is what happened before an output took lines again.
type Recovery struct {
	Fault   error  // why the last write failed; nil when lines were dropped without a failure
	Dropped uint64 // lines of Write that were dropped since the last recovery
}

// Config is what a writer needs.
type Config struct {
	// To is the output. Only one call of Write is under way at a time.
	To io.Writer
	// Recovered makes the line that the first successful write after a failure
	// begins with. It also serves to test a broken output while no line waits.
	Recovered func(Recovery) []byte
}

// Writer writes lines. It is safe for concurrent use.
type Writer struct {
	config Config
	lines  sync.Pool     // of *line
	wake   chan struct{} // holds one token when there is something to do
	gather *time.Timer   // puts the token there
	watch  *time.Timer   // gives up the lines of a stuck write
	// Neither timer is set or stopped for each write: that costs more than letting
	// it end.
	closed chan struct{}
	ended  chan struct{} // the goroutine has returned

	mu        sync.Mutex
	must      []*line // of Append, the oldest first
	underWay  []*line // those of the write under way
	mustBytes int
	loose     []byte    // whole lines of Write
	since     time.Time // of the write under way; zero while there is none
	failed    error     // of the last write; nil when that succeeded
	torn      bool      // the output ends in the middle of a line
	lost      uint64
	reported  uint64 // of lost, in the line of a recovery
	closing   bool
	gathering bool // gather is running
	watching  bool // watch is running
}

// line is one line of Append.
type line struct {
	text   []byte
	result chan error // has room for one; nil for a line that follows another

	// Under the writer's lock:
	state  state
	after  int // how much of the loose lines came before it
	err    error
	follow []byte // to be written if the line is accepted after all
}

type state int

const (
	waiting state = iota
	underWay
	abandoned // under way, and nobody waits for its result
	settled
)

// New returns a writer to c.To. The caller closes it.
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

// Write takes whole lines. It never blocks and never returns an error: lines
// without room are dropped, and [Writer.Dropped] counts them.
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

// gathered has the lines of Write written that no line of Append took along.
func (w *Writer) gathered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering = false
	if len(w.loose) > 0 {
		w.rouse()
	}
}

// Append returns nil once the output has accepted a line. Otherwise it returns
// an error: at once while the output is broken or known to be stuck, and after
// two seconds at the latest. The output then never gets the line, unless the error
// is a *[LateError].
func (w *Writer) Append(ctx context.Context, text []byte) error {
	l, ok := w.lines.Get().(*line)
	if !ok {
		return ErrClosed // never: the pool makes no others
	}
	l.text = append(l.text[:0], text...)
	l.state, l.err, l.follow = waiting, nil, nil
	if err := w.enqueue(l); err != nil {
		w.lines.Put(l)
		return err
	}
	w.rouse()
	if ctx.Done() == nil { // which is cheaper than select
		return w.result(l, <-l.result)
	}
	select {
	case err := <-l.result:
		return w.result(l, err)
	case <-ctx.Done():
		return w.giveUp(l, ctx.Err())
	}
}

// result ends the use of a line, unless the writer may still need it.
func (w *Writer) result(l *line, err error) error {
	if !errors.Is(err, ErrStuck) {
		w.lines.Put(l)
	}
	return err
}

// abandon gives up the lines of a write that is stuck, and those behind it.
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

// giveUp takes a line back, or returns a *LateError when that is not possible.
func (w *Writer) giveUp(l *line, reason error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.state == underWay {
		l.state = abandoned
		return &LateError{Reason: reason, writer: w, line: l}
	}
	at := slices.Index(w.must, l)
	if at < 0 {
		return <-l.result // it is there by now
	}
	w.must = slices.Delete(w.must, at, at+1)
	w.mustBytes -= len(l.text)
	return reason
}

// LateError says that nobody waits for a line any more, and that the output may
// still accept it.
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

// Follow writes another line after the late one, if the output accepts that.
func (e *LateError) Follow(text []byte) {
	e.writer.mu.Lock()
	defer e.writer.mu.Unlock()
	if e.line.state != settled {
		e.line.follow = bytes.Clone(text)
	} else if e.line.err == nil {
		e.writer.follow(text)
	}
}

// follow puts a line before all others that wait. Nobody waits for its result.
func (w *Writer) follow(text []byte) {
	w.must = slices.Insert(w.must, 0, &line{text: bytes.Clone(text)})
	w.mustBytes += len(text)
	w.rouse()
}

// Fault is why the output accepts no lines now, or nil.
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

// Dropped is how many lines of Write were dropped.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close writes the lines that wait, and takes no more. It gives up when ctx
// ends: a write that is stuck cannot be interrupted.
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
