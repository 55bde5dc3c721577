package linewriter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/linewriter"
)

// The time of one write does not count for a later one, and one that gets stuck
// after the others is noticed as early.
func TestEachStuckWriteIsGivenUpAfterASecond(t *testing.T) {
	for _, before := range []time.Duration{0, 400 * time.Millisecond, 999 * time.Millisecond, time.Second, 5 * time.Second} {
		t.Run(before.String(), func(t *testing.T) {
			o := &output{gated: true}
			bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
				first := appending(t, w, "first\n")
				o.gate <- struct{}{}
				wantError(t, <-first, nil)
				<-time.After(before)
				for range 2 { // the second time after an output that was stuck
					began := time.Now()
					wantError(t, <-appending(t, w, "stuck\n"), linewriter.ErrStuck)
					if took := time.Since(began); took != time.Second {
						t.Errorf("given up after %v", took)
					}
					o.gate <- struct{}{}
					synctest.Wait()
				}
				close(o.gate)
			})
		})
	}
}

// A line that another one took along does not make the next wait longer.
func TestLooseLinesAfterOthersAreWrittenWithinMilliseconds(t *testing.T) {
	o := &output{}
	bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
		_, _ = w.Write([]byte("a\n"))
		wantError(t, w.Append(t.Context(), []byte("b\n")), nil)
		<-time.After(3 * time.Millisecond)
		_, _ = w.Write([]byte("c\n"))
		<-time.After(5 * time.Millisecond)
		synctest.Wait()
		wantWrites(t, o, "a\nb\n", "c\n")
		<-time.After(time.Second)
		_, _ = w.Write([]byte("d\n"))
		<-time.After(5 * time.Millisecond)
		synctest.Wait()
		wantWrites(t, o, "a\nb\n", "c\n", "d\n")
	})
}
