package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/auth/session"
)

// What the race is about: a logout, while 1 000 requests are in flight.
const (
	raceRounds   = 10_000
	raceRequests = 1_000

	raceRoundsOfOne = 100 // with Redis, in about half a minute
)

// A logout ends a session for good, also when requests that use and extend it
// are on their way at that moment.
//
// There are 10 000 logouts, by the session's key or one of its names in turn.
// Around each, 1 000 goroutines make a request, Find(Extend), all at once: some
// begin before the logout, some after; how many before goes up and down from
// round to round. All of them are awaited. The test measures how many are in
// flight together with the logout: they have begun and not returned.
//
//   - In memory a request takes a microsecond, so few would ever meet. Therefore
//     the clock, which the store reads under its lock, stands in the way until
//     all 1 000 have begun, and the logouts too.
//   - With Redis they are under way on as many connections.
//
// In memory all 1 000 requests are for the one session that ends. With Redis that
// takes most of an hour for 10 000 logouts. Therefore it is done for fewer, and
// for 10 000 of which 50 at a time end during the same 1 000 requests, 20 for each
// session. DROPGATE_RACE_SESSIONS is how many end at a time, and
// DROPGATE_RACE_ROUNDS how many logouts there are.
//
// A request that began before the end had returned may find the session or not.
// One that began later must not; and when everything has returned, none of the
// sessions is there. Nor is one lost that nobody ends.
func TestLogoutIsFinalWhileRequestsAreInFlight(t *testing.T) {
	usual := raceRounds
	if testing.Short() {
		usual = 500
	}
	rounds := fromEnvironment(t, "DROPGATE_RACE_ROUNDS", usual)
	t.Run("Memory", func(t *testing.T) {
		w := newMemory(t)
		r := &race{w: w, rounds: rounds, sessions: fromEnvironment(t, "DROPGATE_RACE_SESSIONS", 1)}
		limits := w.limits()
		limits.Now = func() time.Time {
			if gate := r.gate.Load(); gate != nil {
				<-*gate
			}
			return w.Now()
		}
		w.reopen(limits)
		r.store, r.gated = w, true
		runRace(t, r)
	})
	t.Run("Redis", func(t *testing.T) {
		raceInRedis(t, rounds, fromEnvironment(t, "DROPGATE_RACE_SESSIONS", 50))
	})
	t.Run("Redis, all requests for the one session", func(t *testing.T) {
		raceInRedis(t, min(rounds, raceRoundsOfOne), 1)
	})
}

func raceInRedis(t *testing.T, rounds, sessions int) {
	t.Helper()
	w := newRedis(t)
	// Another replica than the one that starts and ends the sessions.
	replica := w.replica(t, withPool(redisURL(t)), w.limits())
	connect(t, replica)
	runRace(t, &race{w: w, store: replica, rounds: rounds, sessions: sessions})
}

// connect makes as many connections as there will be requests at a time. That so
// many are made at once takes a busy machine longer than the store waits.
func connect(t *testing.T, store session.Store) {
	t.Helper()
	for range 50 {
		var failed atomic.Int64
		var done sync.WaitGroup
		for range raceRequests {
			done.Go(func() {
				if _, err := store.Find(context.Background(), session.Key{}, session.Peek, nil); !errors.Is(err, session.ErrNone) {
					failed.Add(1)
				}
			})
		}
		if done.Wait(); failed.Load() == 0 {
			return
		}
	}
	t.Fatal("Redis takes no 1 000 connections")
}

func fromEnvironment(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q", name, text)
	}
	return n
}

// withPool lets as many requests be under way at once as the race has.
func withPool(redisURL string) string {
	u, err := url.Parse(redisURL)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	q.Set("pool_size", strconv.Itoa(raceRequests))
	u.RawQuery = q.Encode()
	return u.String()
}

type race struct {
	w        *world        // starts and ends the sessions
	store    session.Store // serves the requests
	rounds   int
	sessions int  // that race at a time
	gated    bool // whether the store waits until all requests have begun

	gate     atomic.Pointer[chan struct{}]
	inFlight atomic.Int64
	found    atomic.Int64 // requests that found their session
	none     atomic.Int64 // and that did not
	won      atomic.Int64 // rounds in which one found it while it was being ended
	lost     atomic.Int64 // and in which one that began before that did not
	sum      atomic.Int64 // of the requests in flight, over all rounds
	fault    atomic.Pointer[string]
}

// round is the life of one session.
type round struct {
	key    session.Key
	which  session.Selector // ends it
	endAt  int64            // how many requests begin before that
	begun  atomic.Int64
	end    chan struct{} // closed when so many have begun
	ending atomic.Bool   // End has begun
	ended  atomic.Bool   // End has returned
	won    atomic.Bool
	lost   atomic.Bool
}

// volley is as many rounds as race at a time.
type volley struct {
	rounds []*round
	fire   chan struct{}
	begun  sync.WaitGroup // all requests and ends
	done   sync.WaitGroup
	next   *volley // when fire is closed the next one is there, or nil
}

func (r *race) newVolley() *volley {
	v := &volley{fire: make(chan struct{})}
	v.begun.Add(raceRequests + r.sessions)
	v.done.Add(raceRequests + r.sessions)
	return v
}

func runRace(t *testing.T, r *race) {
	begin := time.Now()
	v := r.newVolley()
	for i := range raceRequests {
		go r.requests(v, i)
	}
	var keys []session.Key
	for v != nil {
		for range r.sessions {
			v.rounds = append(v.rounds, r.start(t, len(keys)))
			keys = append(keys, v.rounds[len(v.rounds)-1].key)
		}
		if len(keys) < r.rounds {
			v.next = r.newVolley()
		}
		r.run(v)
		for _, round := range v.rounds {
			r.w.wantGone(t, round.key)
		}
		if fault := r.fault.Load(); fault != nil {
			t.Fatalf("within %d rounds: %s", len(keys), *fault)
		}
		v = v.next
	}
	r.w.wantGone(t, keys...)
	mean := int(r.sum.Load()) / len(keys)
	t.Logf("%d rounds in %.1f s: %d requests were in flight on average while a session was being ended; %d found their session and %d did not; in %d rounds one still found it while it was being ended, in %d one that had begun before did not",
		len(keys), time.Since(begin).Seconds(), mean, r.found.Load(), r.none.Load(), r.won.Load(), r.lost.Load())
	if r.won.Load()+r.lost.Load() < int64(len(keys)/2) {
		t.Error("that was no race")
	}
}

// run fires a volley, whose next one is known by then, and waits for its end.
func (r *race) run(v *volley) {
	gate := make(chan struct{})
	if r.gated {
		r.gate.Store(&gate)
	}
	for _, round := range v.rounds {
		go r.end(v, round)
	}
	close(v.fire)
	v.begun.Wait()
	if r.gated {
		r.sum.Add(r.inFlight.Load())
	}
	r.gate.Store(nil)
	close(gate)
	v.done.Wait()
}

// start starts the session of a round.
func (r *race) start(t *testing.T, i int) *round {
	t.Helper()
	s := r.w.of(strconv.Itoa(i), strconv.Itoa(i))
	key := r.w.start(t, s)
	return &round{
		key:   key,
		which: []session.Selector{{Key: key}, {Subject: s.Subject}, {SID: s.SID}, {Subject: s.Subject, SID: s.SID}}[i%4],
		endAt: int64(1 + i*7%(raceRequests/r.sessions)),
		end:   make(chan struct{}),
	}
}

// end ends a session in the middle of the requests.
func (r *race) end(v *volley, round *round) {
	defer v.done.Done()
	<-round.end
	if !r.gated {
		r.sum.Add(r.inFlight.Load())
	}
	round.ending.Store(true)
	v.begun.Done()
	ended, err := r.w.End(context.Background(), round.which)
	round.ended.Store(true)
	if err != nil || len(ended) != 1 {
		r.faulty(fmt.Sprintf("ended %d sessions, error %v", len(ended), err))
	}
}

// requests makes a request in each volley, for one of its sessions.
func (r *race) requests(v *volley, i int) {
	for ; v != nil; v = v.next {
		<-v.fire
		r.request(v, v.rounds[i%r.sessions])
		v.done.Done()
	}
}

func (r *race) request(v *volley, round *round) {
	r.inFlight.Add(1)
	before, after := !round.ending.Load(), round.ended.Load()
	v.begun.Done()
	if round.begun.Add(1) == round.endAt {
		close(round.end)
	}
	_, err := r.store.Find(context.Background(), round.key, session.Extend, nil)
	r.inFlight.Add(-1)
	switch {
	case err == nil && after:
		r.faulty("a request found a session that had been ended before it began")
	case err == nil:
		r.found.Add(1)
		if round.ending.Load() && round.won.CompareAndSwap(false, true) {
			r.won.Add(1)
		}
	case !errors.Is(err, session.ErrNone):
		r.faulty(err.Error())
	case !round.ending.Load():
		r.faulty("a request did not find a session that nobody had ended")
	default:
		r.none.Add(1)
		if before && round.lost.CompareAndSwap(false, true) {
			r.lost.Add(1)
		}
	}
}

func (r *race) faulty(what string) { r.fault.CompareAndSwap(nil, &what) }
