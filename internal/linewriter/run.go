package linewriter

import (
	"io"
	"runtime"
	"time"
)

// group holds the lines of one write(2).
type group struct {
	text []byte  // in the order of arrival
	head int     // the length of the writer's own lines before them
	must []*line // those of Append
	ends []int   // their ends in text
	lost uint64  // Writer.lost when the group was gathered
}

// run owns the output until the writer is closed and no line waits.
func (w *Writer) run() {
	defer close(w.ended)
	defer w.gather.Stop()
	defer w.watch.Stop()
	var b group
	for {
		if len(b.must) > 1 {
			// Under load, let callers add their lines first. A lone caller gains
			// nothing, and each yield may wake an idle thread.
			runtime.Gosched()
		}
		if !w.next(&b) {
			if w.finished() {
				return
			}
			<-w.wake
			continue
		}
		n, err := w.config.To.Write(b.text)
		if err == nil && n < len(b.text) {
			err = io.ErrShortWrite
		}
		if w.settle(&b, n, err); err != nil {
			w.pause()
		}
	}
}

// finished reports whether a closed writer has nothing left to do. It does not
// wait for a broken output.
func (w *Writer) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing && (w.failed != nil || len(w.must) == 0 && len(w.loose) == 0)
}

// pause waits before the next attempt to write to a broken output.
func (w *Writer) pause() {
	select {
	case <-time.After(retryEvery):
	case <-w.closed:
	}
}

// next gathers the waiting lines, and reports whether to write. After a failure it always
// reports true, until the writer is closed.
func (w *Writer) next(b *group) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	broken := w.failed != nil
	if broken && w.closing || !broken && len(w.must) == 0 && len(w.loose) == 0 {
		return false
	}
	b.text, b.must, b.ends = b.text[:0], append(b.must[:0], w.must...), b.ends[:0]
	if w.torn {
		b.text = append(b.text, '\n')
	}
	if dropped := w.lost - w.reported; w.config.Recovered != nil && (broken || dropped > 0) {
		b.text = append(b.text, w.config.Recovered(Recovery{w.failed, dropped})...)
	}
	b.head = len(b.text)
	from := 0
	for _, l := range w.must {
		l.state = underWay
		b.text = append(append(b.text, w.loose[from:l.after]...), l.text...)
		b.ends = append(b.ends, len(b.text))
		from = l.after
	}
	b.text, b.lost = append(b.text, w.loose[from:]...), w.lost
	clear(w.must)
	w.must, w.mustBytes, w.loose = w.must[:0], 0, w.loose[:0]
	w.since, w.underWay = time.Now(), b.must
	if !w.watching {
		w.watching = true
		w.watch.Reset(stuckAfter)
	}
	return true
}

// settle reports the results to the callers of Append. After a failure, lines written in
// full count as accepted.
func (w *Writer) settle(b *group, n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since, w.underWay, w.failed = time.Time{}, nil, err
	if n > 0 {
		w.torn = b.text[n-1] != '\n'
	}
	if err == nil {
		w.reported = b.lost
	} else {
		w.lost += count(b.text[max(n, b.head):])
	}
	for i, l := range b.must {
		waits := l.state == underWay && l.result != nil
		l.state = settled
		if b.ends[i] > n {
			l.err = err
			w.lost-- // its caller gets the error
		}
		if l.err == nil && l.follow != nil {
			w.follow(l.follow)
		}
		if waits {
			l.result <- l.err
		}
	}
	clear(b.must)
}
