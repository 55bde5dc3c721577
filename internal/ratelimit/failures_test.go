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

func TestFailuresUnderWayCount(t *testing.T) {
	now := newClock()
	f := ratelimit.NewFailures(ratelimit.Limit{N: 3, Window: time.Hour}, now.Now)
	for range 100 { // who succeeds pays nothing
		wantPass(t, f.Enter("192.0.2.1"), "one under way")
		f.Forgive("192.0.2.1")
	}
	for range 3 {
		wantPass(t, f.Enter("192.0.2.1"), "as many as may fail")
	}
	wantExceeded(t, f.Enter("192.0.2.1"), ratelimit.IP, time.Hour/3)
	wantPass(t, f.Enter("192.0.2.2"), "another address")
	f.Forgive("192.0.2.1")
	wantPass(t, f.Enter("192.0.2.1"), "in the place of one that succeeded")
	now.move(2 * time.Hour)
	f.Forgive("192.0.2.1") // long after it began
	for range 3 {
		wantPass(t, f.Enter("192.0.2.1"), "no more than a full allowance")
	}
	wantExceeded(t, f.Enter("192.0.2.1"), ratelimit.IP, time.Hour/3)
}
