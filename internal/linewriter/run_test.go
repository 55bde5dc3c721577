package linewriter_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/linewriter"
)

func TestABrokenOutputRecovers(t *testing.T) {
	full := errors.New("no space left on device")
	o := &output{answer: func([]byte) (int, error) { return 0, full }}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		wantError(t, w.Append(t.Context(), []byte("a\n")), full)
		wantError(t, w.Fault(), full)
		wantError(t, w.Append(t.Context(), []byte("b\n")), full)
		_, _ = w.Write([]byte("lost\n"))
		<-time.After(time.Minute)
		wantError(t, w.Fault(), full)
		o.answers(nil)
		<-time.After(time.Second)
		wantError(t, w.Fault(), nil) // though nobody wrote anything
		wantError(t, w.Append(t.Context(), []byte("c\n")), nil)
		got := strings.Join(o.all(), "")
		if got != "recovered: no space left on device, 1 dropped\nc\n" || w.Dropped() != 1 {
			t.Errorf("written %q, %d dropped", got, w.Dropped())
		}
	})
}

func TestATornLineIsTerminated(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		first := appending(t, w, "first\n")
		whole, half := appending(t, w, "whole\n"), appending(t, w, "half\n")
		_, _ = w.Write([]byte("lost\n"))
		o.gate <- struct{}{}
		wantError(t, <-first, nil)
		o.answers(func([]byte) (int, error) { return len("whole\nha"), nil })
		o.gate <- struct{}{}
		wantError(t, <-whole, nil)
		wantError(t, <-half, io.ErrShortWrite)
		o.answers(nil)
		close(o.gate)
		<-time.After(time.Second)
		wantWrites(t, o, "first\n", "whole\nha", "\nrecovered: short write, 1 dropped\n")
	})
}

func TestCloseWritesWaitingLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &output{}
		w := linewriter.New(linewriter.Config{To: o})
		_, _ = w.Write([]byte("a\n"))
		wantError(t, w.Close(t.Context()), nil)
		wantWrites(t, o, "a\n")
		wantError(t, w.Append(t.Context(), []byte("b\n")), linewriter.ErrClosed)
		_, _ = w.Write([]byte("c\n"))
		wantError(t, w.Close(t.Context()), nil)
		if w.Dropped() != 1 {
			t.Errorf("%d lines were dropped", w.Dropped())
		}
	})
}

func TestCloseDoesNotWaitForAStuckOutput(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		_, _ = w.Write([]byte("a\n"))
		<-time.After(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, w.Close(ctx), context.DeadlineExceeded)
		close(o.gate)
	})
}

func TestCloseDoesNotWaitForABrokenOutput(t *testing.T) {
	o := &output{answer: func([]byte) (int, error) { return 0, io.ErrClosedPipe }}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		wantError(t, w.Append(t.Context(), []byte("a\n")), io.ErrClosedPipe)
		_, _ = w.Write([]byte("b\n"))
		began := time.Now()
		wantError(t, w.Close(t.Context()), nil)
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %v", took)
		}
	})
}
