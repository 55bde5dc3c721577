package scratch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// User is the name of the i-th user. Names are spread over an index like real ones.
func User(i int) string {
	return fmt.Sprintf("auth0|%016x", uint64(i)*0x9e3779b97f4a7c15) //nolint:gosec // not negative
}

// Links returns a CSV with one Customer for each of the first n users. It generates the
// rows while they are read.
func Links(users int) io.Reader {
	r, w := io.Pipe()
	go func() {
		lines := bufio.NewWriter(w)
		_, err := lines.WriteString("user,customer\n")
		for i := 0; i < users && err == nil; i++ {
			_, err = fmt.Fprintf(lines, "%s,%08x-0000-4000-8000-%012x\n", User(i), uint32(i+1)*0x9e3779b1, i)
		}
		_ = w.CloseWithError(errors.Join(err, lines.Flush())) // never fails
	}()
	return r
}
