//go:build soak

package customerdb_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"dropgate/internal/customer/customerdb"
)

// The process ends after the commit, before the sink accepts the entry.
func entriesOutliveTheirProcess(t *testing.T, open func() *customerdb.Database) {
	first := open()
	dying := trail{broken: errors.New("no space left")}
	dying.of(first)
	link(t, first, "ann", customerA)
	wantUndelivered(t, first, 1)
	unlink(t, first, "ann")
	wantError(t, first.Close(), nil)
	second := open()
	var a trail
	drained(t, second, a.of(second))
	if got, want := a.lines(), []string{" linked ann " + customerA, " unlinked ann " + customerA}; !slices.Equal(got, want) {
		t.Errorf("entries %v, want %v", got, want)
	}
}

func sinkOutageLosesNothing(t *testing.T, open func() *customerdb.Database) {
	d := open()
	a := trail{broken: io.ErrShortWrite}
	o := a.of(d)
	for i := range 3 {
		link(t, d, fmt.Sprint("user ", i), customerNumber(i))
	}
	wantUndelivered(t, d, 3)
	a.recover()
	drained(t, d, o)
	if got := a.lines(); len(got) != 3 {
		t.Errorf("entries %v, want three", got)
	}
}
