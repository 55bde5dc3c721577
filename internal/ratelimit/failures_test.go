package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"dropgate/internal/ratelimit"
)

func TestOnlyFailuresOfAnAddressCount(t *testing.T) {
	now := newClock()
	f := ratelimit.NewFailures(ratelimit.Limit{N: 9, Window: time.Hour}, now.Now)
	for range 9 {
		wantPass(t, f.Check("2001:db8::1"), "before the limit")
		f.Note("2001:db8::2")
	}
	wantExceeded(t, f.Check("2001:db8::3"), ratelimit.IP, time.Hour/9)
	wantPass(t, f.Check("2001:db8:0:1::1"), "another network")
	for range 100 { // more of them do not make it last longer
		f.Note("2001:db8::1")
	}
	now.move(time.Hour / 9)
	wantPass(t, f.Check("2001:db8::1"), "after a while")
	for n := range 100_000 {
		f.Note(fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255))
	}
	wantPass(t, f.Check("10.0.0.0"), "one of very many")
}
