package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/auth/session"
)

const raceRequests = 1_000 // in flight around each logout

// An ended session never comes back, even while requests use and extend it.
//
// Around each logout 1 000 goroutines call Find(Extend) concurrently. How many begin
// before the logout varies from round to round. A request that overlaps the logout
// may find the session. A later one must not. A session must not end early either.
//
// Requests in Memory take a microsecond and would hardly overlap, so a clock inside
// the store's lock holds them until all have begun. Redis gets one connection per
// request. race_soak_test.go runs many more rounds.
func TestLogoutIsFinalDuringRequests(t *testing.T) {
	t.Run("Memory", func(t *testing.T) { raceInMemory(t, 100) })
	t.Run("Redis", func(t *testing.T) { raceInRedis(t, 500, 50) })
	t.Run("Redis, all requests for one session", func(t *testing.T) { raceInRedis(t, 5, 1) })
}

func raceInMemory(t *testing.T, rounds int) {
	t.Helper()
	w := newMemory(t)
	r := &race{w: w, rounds: rounds, sessions: 1}
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
}

func raceInRedis(t *testing.T, rounds, sessions int) {
	t.Helper()
	w := newRedis(t)
	// Another replica starts and ends the sessions.
	replica := w.replica(t, withPool(redisURL(t)), w.limits())
	connect(t, replica)
	runRace(t, &race{w: w, store: replica, rounds: rounds, sessions: sessions})
}

// connect opens one connection per request beforehand. On a busy machine it takes
// longer than the store's timeout, so it retries.
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
	t.Fatal("Redis does not accept 1 000 connections")
}

// withPool sets the pool size to the number of requests.
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
	sessions int  // ended during the same requests
	gated    bool // the store waits until all requests have begun

	gate     atomic.Pointer[chan struct{}]
	inFlight atomic.Int64
	found    atomic.Int64 // requests with a session
	none     atomic.Int64 // requests with ErrNone
	won      atomic.Int64 // rounds with a session found during its end
	lost     atomic.Int64 // rounds with ErrNone for a request from before the end
	sum      atomic.Int64 // requests in flight, over all rounds
	fault    atomic.Pointer[string]
}

// round is the life of one session.
type round struct {
	key    session.Key
	sel    session.Selector // ends it
	endAt  int64            // requests that begin before the end
	begun  atomic.Int64
	end    chan struct{} // closed after endAt requests
	ending atomic.Bool   // End has begun
	ended  atomic.Bool   // End has returned
	won    atomic.Bool
	lost   atomic.Bool
}

// volley is the rounds that share their requests.
type volley struct {
	rounds []*round
	fire   chan struct{}
	begun  sync.WaitGroup // all requests and ends
	done   sync.WaitGroup
	next   *volley // set before fire closes; nil after the last
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
	t.Logf("%d rounds in %.1f s, on average %d requests in flight; %d requests found their session, %d did not; %d rounds had a session found during its end, %d an ErrNone for an earlier request",
		len(keys), time.Since(begin).Seconds(), mean, r.found.Load(), r.none.Load(), r.won.Load(), r.lost.Load())
	if r.won.Load()+r.lost.Load() < int64(len(keys)/2) {
		t.Error("requests and logouts hardly overlapped")
	}
}

// run fires a volley and waits until it is done.
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
		sel:   []session.Selector{{Key: key}, {Subject: s.Subject}, {SID: s.SID}, {Subject: s.Subject, SID: s.SID}}[i%4],
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
	ended, err := r.w.End(context.Background(), round.sel)
	round.ended.Store(true)
	if err != nil || len(ended) != 1 {
		r.fail(fmt.Sprintf("ended %d sessions, error %v", len(ended), err))
	}
}

// requests makes one request in each volley.
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
		r.fail("a request found a session that had ended before")
	case err == nil:
		r.found.Add(1)
		if round.ending.Load() && round.won.CompareAndSwap(false, true) {
			r.won.Add(1)
		}
	case !errors.Is(err, session.ErrNone):
		r.fail(err.Error())
	case !round.ending.Load():
		r.fail("a request did not find a live session")
	default:
		r.none.Add(1)
		if before && round.lost.CompareAndSwap(false, true) {
			r.lost.Add(1)
		}
	}
}

func (r *race) fail(what string) { r.fault.CompareAndSwap(nil, &what) }
