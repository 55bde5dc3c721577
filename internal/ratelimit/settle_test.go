package ratelimit_test

import (
	"crypto/rand"
	"testing"
	"time"

	"dropgate/internal/ratelimit"
)

// The session store charges by script; the handler then calls Pay as usual.
func TestSettledChargesAreNotPaidAgain(t *testing.T) {
	client, now, addr, user := redisClient(t), newClock(), newAddress(), rand.Text()
	l := limiter(ratelimit.Config{User: limit(9, time.Hour), IP: limit(9, time.Hour), Redis: client}, now)
	const hour = int64(time.Hour / time.Microsecond)
	charge := l.Charge(addr)
	key, terms := charge.ScriptArgs()
	if want := []any{hour / 9, hour, hour / 9, hour}; key == "" || len(terms) != 4 || terms[0] != want[0] || terms[1] != want[1] || terms[2] != want[2] || terms[3] != want[3] {
		t.Fatalf("%q is to be taken along by %v, want %v", key, terms, want)
	}
	took := hour / 9
	wantPass(t, charge.Settle(t.Context(), user, l.UserKey(user), [2]int64{took, took}), "paying along")

	again, nothing := charge.ScriptArgs()
	if again != "" || len(nothing) != 4 || nothing[1] != 0 || nothing[3] != 0 {
		t.Errorf("once more %q is to be taken along by %v", again, nothing)
	}
	wantPass(t, charge.Pay(t.Context(), user), "paying again")
	wantPass(t, charge.Settle(t.Context(), user, l.UserKey(user), [2]int64{-took, -took}), "paying along again")
	if n, err := client.Exists(t.Context(), key, l.UserKey(user)).Result(); n != 0 || err != nil {
		t.Errorf("%d keys in Redis (%v), though nobody had to go there", n, err)
	}
	for range 8 { // this process counts one as well
		known := l.Charge(addr)
		wantPass(t, known.Check(), "a request")
		wantPass(t, known.Pay(t.Context(), user), "a request")
	}
}

// Settle caches the result of a script as Pay caches its own.
func TestASettledRefusalIsCached(t *testing.T) {
	l := limiter(ratelimit.Config{User: limit(9, time.Hour), IP: limit(9, time.Hour), Redis: redisClient(t)}, newClock())
	wait := int64(time.Minute / time.Microsecond)
	addr, user := newAddress(), rand.Text()
	charge := l.Charge(addr)
	wantExceeded(t, charge.Settle(t.Context(), user, l.UserKey(user), [2]int64{1, -wait}), ratelimit.User, time.Minute)
	next := l.Charge(addr)
	wantPass(t, next.Check(), "the address")
	wantExceeded(t, next.Pay(t.Context(), user), ratelimit.User, time.Minute)
	next = l.Charge(addr)
	wantExceeded(t, next.Settle(t.Context(), user, l.UserKey(user), [2]int64{-wait, 0}), ratelimit.IP, time.Minute)
	next = l.Charge(addr)
	wantExceeded(t, next.Check(), ratelimit.IP, time.Minute)
}

// Answers may arrive out of order.
func TestAnOlderRedisAnswerIsIgnored(t *testing.T) {
	l := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: redisClient(t)}, newClock())
	const interval = int64(time.Hour/time.Microsecond) / 9
	addr := newAddress()
	older, newer := l.Charge(addr), l.Charge(addr)
	wantPass(t, newer.Settle(t.Context(), "", l.UserKey(""), [2]int64{9 * interval, 0}), "the last of the burst")
	wantPass(t, older.Settle(t.Context(), "", l.UserKey(""), [2]int64{8 * interval, 0}), "the one before")
	next := l.Charge(addr)
	wantExceeded(t, next.Check(), ratelimit.IP, time.Hour/9)
}
