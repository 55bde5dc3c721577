//go:build faults

package faults_test

import (
	"testing"
	"time"
)

func TestWhenDwollaIsSlowWithinTheTimeoutTokensOnlyTakeLonger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := scenario{
		fault: "Dwolla answers late, within the timeout", world: w, callers: w.bearers(w.start(t, nil), 16),
		begin:   func() { w.toDwolla.spoil(fault{latency: 200 * time.Millisecond}) },
		end:     w.toDwolla.mend,
		allowed: []string{"200"}, seen: []string{"200"},
	}.run(t)
	for _, s := range o.shots {
		if s.ended.Sub(s.began) > 2*time.Second {
			t.Errorf("a request took %s", s.ended.Sub(s.began))
		}
	}
}
