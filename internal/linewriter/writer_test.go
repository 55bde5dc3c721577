package linewriter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/linewriter"
)

// output keeps writes, under control of the test.
type output struct {
	mu     sync.Mutex
	writes []string
	gated  bool
	gate   chan struct{}                   // each write waits for a token, when gated
	answer func(p []byte) (n int, e error) // nil: accept everything
}

func (o *output) Write(p []byte) (int, error) {
	if o.gated {
		<-o.gate
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := len(p), error(nil)
	if o.answer != nil {
		n, err = o.answer(p)
	}
	o.writes = append(o.writes, string(p[:n]))
	return n, err
}

func (o *output) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.writes...)
}

func (o *output) answers(answer func(p []byte) (int, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// recovered makes a recovery line.
func recovered(r linewriter.Recovery) []byte {
	return fmt.Appendf(nil, "recovered: %v, %d dropped\n", r.Fault, r.Dropped)
}

// bubble runs test in a synctest bubble with a writer to o.
func bubble(t *testing.T, o *output, test func(t *testing.T, w *linewriter.Writer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.gated {
			o.gate = make(chan struct{}) // of the bubble
		}
		w := linewriter.New(linewriter.Config{To: o, Recovered: recovered})
		test(t, w)
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// appending appends a line in the background.
func appending(t *testing.T, w *linewriter.Writer, line string) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- w.Append(t.Context(), []byte(line)) }()
	synctest.Wait()
	return result
}

func wantWrites(t *testing.T, o *output, want ...string) {
	t.Helper()
	if got := o.all(); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("writes %q, want %q", got, want)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

func TestAppendWaitsForTheOutput(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		result := appending(t, w, "a\n")
		select {
		case err := <-result:
			t.Errorf("Append returned %v before the write", err)
		default:
		}
		o.gate <- struct{}{}
		wantError(t, <-result, nil)
		wantWrites(t, o, "a\n")
	})
}

func TestWaitingLinesShareOneWrite(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		first := appending(t, w, "1\n")
		results := []<-chan error{appending(t, w, "2\n")}
		_, _ = w.Write([]byte("loose 3\n"))
		_, _ = w.Write([]byte("loose 4\n"))
		results = append(results, appending(t, w, "5\n"))
		_, _ = w.Write([]byte("loose 6\n"))
		o.gate <- struct{}{}
		wantError(t, <-first, nil)
		o.gate <- struct{}{}
		for _, result := range results {
			wantError(t, <-result, nil)
		}
		wantWrites(t, o, "1\n", "2\nloose 3\nloose 4\n5\nloose 6\n") // as they came
	})
}

func TestLooseLinesWaitOnlyMilliseconds(t *testing.T) {
	o := &output{}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		_, _ = w.Write([]byte("a\n"))
		_, _ = w.Write([]byte("b\n"))
		<-time.After(5 * time.Millisecond)
		synctest.Wait()
		wantWrites(t, o, "a\nb\n")
	})
}

func TestALineBehindAStuckWriteIsWithdrawn(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		_, _ = w.Write([]byte("loose\n"))
		<-time.After(10 * time.Millisecond)
		began := time.Now()
		err := w.Append(t.Context(), []byte("taken back\n"))
		wantError(t, err, linewriter.ErrStuck)
		if _, late := errors.AsType[*linewriter.LateError](err); late || time.Since(began) > time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
		close(o.gate)
		synctest.Wait()
		wantWrites(t, o, "loose\n")
		wantError(t, w.Fault(), nil)
	})
}

func TestAnAcceptedLateLineIsFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(p []byte) (int, error)
		after  bool // Follow is called after the write
		want   []string
	}{
		"taken":               {nil, false, []string{"late\n", "withdrawn\n"}},
		"taken, and followed": {nil, true, []string{"late\n", "withdrawn\n"}},
		"refused": {func(p []byte) (int, error) {
			if bytes.Contains(p, []byte("late")) {
				return 0, io.ErrClosedPipe
			}
			return len(p), nil
		}, false, []string{"", "recovered: io: read/write on closed pipe, 0 dropped\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &output{gated: true, answer: c.answer}
			bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
				late, ok := errors.AsType[*linewriter.LateError](<-appending(t, w, "late\n"))
				if !ok {
					t.Fatal("no late error")
				}
				wantError(t, late, linewriter.ErrStuck)
				if !c.after {
					late.Follow([]byte("withdrawn\n"))
				}
				close(o.gate)
				synctest.Wait()
				if c.after {
					late.Follow([]byte("withdrawn\n"))
				}
				<-time.After(time.Second)
				wantWrites(t, o, c.want...)
			})
		})
	}
}

func TestACanceledAppendReturnsAtOnce(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		wantError(t, w.Append(ctx, []byte("a\n")), context.DeadlineExceeded)
		close(o.gate)
	})
}

func TestAStuckOutputIsAFault(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		wantError(t, <-appending(t, w, "a\n"), linewriter.ErrStuck)
		wantError(t, w.Fault(), linewriter.ErrStuck)
		began := time.Now()
		wantError(t, w.Append(t.Context(), []byte("b\n")), linewriter.ErrStuck)
		if took := time.Since(began); took > 0 {
			t.Errorf("the next caller waited for %v", took)
		}
		close(o.gate)
		synctest.Wait()
		wantError(t, w.Fault(), nil)
		wantError(t, w.Append(t.Context(), []byte("c\n")), nil)
		wantWrites(t, o, "a\n", "c\n")
	})
}

func TestWriteDropsLinesInsteadOfBlocking(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		line := []byte(strings.Repeat("x", 1023) + "\n")
		_, _ = w.Write(line)
		<-time.After(10 * time.Millisecond)
		for range 10_000 {
			if n, err := w.Write(line); n != len(line) || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		dropped := w.Dropped()
		if dropped != 10_000-256 {
			t.Errorf("%d lines were dropped", dropped)
		}
		close(o.gate)
		<-time.After(time.Second)
		if got := o.all(); len(got) != 2 || !strings.HasPrefix(got[1], fmt.Sprintf("recovered: <nil>, %d dropped\nxxx", dropped)) {
			t.Errorf("%d writes, the second is %.60q", len(got), got[1])
		}
		_, _ = w.Write([]byte("after\n"))
		<-time.After(time.Second)
		if got := o.all(); got[len(got)-1] != "after\n" { // drops are reported once
			t.Errorf("the last write is %.60q", got[len(got)-1])
		}
	})
}

func TestWaitingMustLinesAreBounded(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		line := strings.Repeat("x", 64<<10)
		var results []<-chan error
		for range 5 { // one under way, four wait
			results = append(results, appending(t, w, line))
		}
		wantError(t, <-appending(t, w, line), linewriter.ErrFull)
		close(o.gate)
		for _, result := range results {
			wantError(t, <-result, nil)
		}
	})
}

func TestManyCallersLoseNothing(t *testing.T) {
	o := &output{}
	w := linewriter.New(linewriter.Config{To: o})
	var all sync.WaitGroup
	const callers, each = 50, 200
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				_, _ = fmt.Fprintf(w, "loose %d %d\n", caller, i)
				if err := w.Append(t.Context(), fmt.Appendf(nil, "must %d %d\n", caller, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(strings.Join(o.all(), "")) {
		seen[line] = true
	}
	if want := 2 * callers * each; len(seen)+int(w.Dropped()) != want || w.Dropped() > 0 {
		t.Errorf("%d different lines, %d dropped, want %d", len(seen), w.Dropped(), want)
	}
}
