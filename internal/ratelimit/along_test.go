package ratelimit_test

import (
	"crypto/rand"
	"testing"
	"time"

	"dropgate/internal/ratelimit"
)

// Who finds a session pays for it in the same script, and is asked to pay again
// by whoever answers.
func TestWhatWasTakenAlongIsNotTakenAgain(t *testing.T) {
	client, now, addr, user := redisClient(t), newClock(), newAddress(), rand.Text()
	l := limiter(ratelimit.Config{User: limit(9, time.Hour), IP: limit(9, time.Hour), Redis: client}, now)
	const hour = int64(time.Hour / time.Microsecond)
	charge := l.Charge(addr)
	key, terms := charge.Along()
	if want := []any{hour / 9, hour, hour / 9, hour}; key == "" || len(terms) != 4 || terms[0] != want[0] || terms[1] != want[1] || terms[2] != want[2] || terms[3] != want[3] {
		t.Fatalf("%q is to be taken along by %v, want %v", key, terms, want)
	}
	took := hour / 9
	wantPass(t, charge.Paid(t.Context(), user, l.UserKey(user), [2]int64{took, took}), "paying along")

	again, nothing := charge.Along()
	if again != "" || len(nothing) != 4 || nothing[1] != 0 || nothing[3] != 0 {
		t.Errorf("once more %q is to be taken along by %v", again, nothing)
	}
	wantPass(t, charge.Pay(t.Context(), user), "paying again")
	wantPass(t, charge.Paid(t.Context(), user, l.UserKey(user), [2]int64{-took, -took}), "paying along again")
	if n, err := client.Exists(t.Context(), key, l.UserKey(user)).Result(); n != 0 || err != nil {
		t.Errorf("%d keys in Redis (%v), though nobody had to go there", n, err)
	}
	for range 8 { // this process knows of one, too
		known := l.Charge(addr)
		wantPass(t, known.Check(), "a request")
		wantPass(t, known.Pay(t.Context(), user), "a request")
	}
}

// What Redis has taken along is known here, as if this request had paid by itself.
func TestARefusalThatWasTakenAlongIsKnownHere(t *testing.T) {
	l := limiter(ratelimit.Config{User: limit(9, time.Hour), IP: limit(9, time.Hour), Redis: redisClient(t)}, newClock())
	wait := int64(time.Minute / time.Microsecond)
	addr, user := newAddress(), rand.Text()
	charge := l.Charge(addr)
	wantExceeded(t, charge.Paid(t.Context(), user, l.UserKey(user), [2]int64{1, -wait}), ratelimit.User, time.Minute)
	next := l.Charge(addr)
	wantPass(t, next.Check(), "the address")
	wantExceeded(t, next.Pay(t.Context(), user), ratelimit.User, time.Minute)
	next = l.Charge(addr)
	wantExceeded(t, next.Paid(t.Context(), user, l.UserKey(user), [2]int64{-wait, 0}), ratelimit.IP, time.Minute)
	next = l.Charge(addr)
	wantExceeded(t, next.Check(), ratelimit.IP, time.Minute)
}

// Of two answers the one that was given first may come last.
func TestAnOlderAnswerOfRedisDoesNotUndoANewerOne(t *testing.T) {
	l := limiter(ratelimit.Config{IP: limit(9, time.Hour), Redis: redisClient(t)}, newClock())
	const interval = int64(time.Hour/time.Microsecond) / 9
	addr := newAddress()
	older, newer := l.Charge(addr), l.Charge(addr)
	wantPass(t, newer.Paid(t.Context(), "", l.UserKey(""), [2]int64{9 * interval, 0}), "the last of the burst")
	wantPass(t, older.Paid(t.Context(), "", l.UserKey(""), [2]int64{8 * interval, 0}), "the one before")
	next := l.Charge(addr)
	wantExceeded(t, next.Check(), ratelimit.IP, time.Hour/9)
}
