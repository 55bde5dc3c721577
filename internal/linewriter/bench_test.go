package linewriter_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dropgate/internal/linewriter"
)

// spent is the CPU time of the process.
func spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTwoLinesOfARequest writes an audit line and an access line per request to a
// pipe: with one write(2) each under a lock, and with a Writer.
func BenchmarkTwoLinesOfARequest(b *testing.B) {
	audit, access := []byte(strings.Repeat("a", 449)+"\n"), []byte(strings.Repeat("b", 349)+"\n")
	for _, callers := range []int{1, 16, 64} {
		name := map[int]string{1: "1 caller", 16: "16 callers", 64: "64 callers"}[callers]
		b.Run("a write each/"+name, func(b *testing.B) {
			var mu sync.Mutex
			to := piped(b)
			one := func(line []byte) error {
				mu.Lock()
				defer mu.Unlock()
				_, err := to.Write(line)
				return err
			}
			requests(b, callers, func() error {
				if err := one(audit); err != nil {
					return err
				}
				return one(access)
			})
		})
		b.Run("a Writer/"+name, func(b *testing.B) {
			w := linewriter.New(linewriter.Config{To: piped(b)})
			defer func() { _ = w.Close(b.Context()) }()
			requests(b, callers, func() error {
				if err := w.Append(context.WithoutCancel(b.Context()), audit); err != nil {
					return err
				}
				_, err := w.Write(access)
				return err
			})
		})
	}
}

// piped returns a pipe into another process, like the log of a container.
func piped(b *testing.B) io.Writer {
	b.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	reader := exec.CommandContext(b.Context(), "cat")
	reader.Stdin = read
	if err := reader.Start(); err != nil {
		b.Skip(err)
	}
	_ = read.Close()
	b.Cleanup(func() { _ = reader.Wait() })
	b.Cleanup(func() { _ = write.Close() })
	return write
}

// requests shares b.N requests among callers and reports the CPU time per request.
func requests(b *testing.B, callers int, request func() error) {
	b.Helper()
	b.ReportAllocs()
	before := spent()
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := caller; i < b.N; i += callers {
				if err := request(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
