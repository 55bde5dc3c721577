package linewriter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"dropgate/internal/linewriter"
)

// The time of one write does not count for the next.
func TestEachStuckWriteFailsAfterASecond(t *testing.T) {
	for _, before := range []time.Duration{0, 400 * time.Millisecond, 999 * time.Millisecond, time.Second, 5 * time.Second} {
		t.Run(before.String(), func(t *testing.T) {
			o := &output{gated: true}
			bubble(t, o, func(t *testing.T, w *linewriter.Writer) {
				first := appending(t, w, "first\n")
				o.gate <- struct{}{}
				wantError(t, <-first, nil)
				<-time.After(before)
				for range 2 { // the second time after a stuck output
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

func TestLooseLinesAfterOthersWaitOnlyMilliseconds(t *testing.T) {
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
