package linewriter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/linewriter"
)

func TestALineWaitsForAtMostTwoWrites(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		first := appending(t, w, "slow\n")
		second := appending(t, w, "stuck\n")
		began := time.Now()
		<-time.After(900 * time.Millisecond)
		o.gate <- struct{}{}
		wantError(t, <-first, nil)
		wantError(t, <-second, linewriter.ErrStuck)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it waited for %v", took)
		}
		close(o.gate)
	})
}

func TestAFollowingLineIsNeverDropped(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		late, ok := errors.AsType[*linewriter.LateError](<-appending(t, w, "late\n"))
		if !ok {
			t.Fatal("no late error")
		}
		late.Follow([]byte("withdrawn\n"))
		o.gate <- struct{}{}
		<-time.After(time.Minute) // now the other write is stuck
		close(o.gate)
		synctest.Wait()
		wantWrites(t, o, "late\n", "withdrawn\n")
	})
}

func TestCallersMayCancelAbandonedLines(t *testing.T) {
	o := &output{gated: true}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		for _, text := range []string{"under way\n", "waits\n"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // as soon as it is stuck
			defer cancel()
			go func() {
				if err := w.Append(ctx, []byte(text)); !errors.Is(err, linewriter.ErrStuck) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%q: %v", text, err)
				}
			}()
			synctest.Wait()
		}
		<-time.After(2 * time.Second)
		close(o.gate)
		synctest.Wait()
		wantWrites(t, o, "under way\n")
	})
}
