package redisbatch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/redisbatch"
)

// fake is a Redis that echoes the key of each call once released.
type fake struct {
	redis.Scripter // for the methods without a fake

	let   chan error                // one answer for each round trip: nil, or its error
	spoil func(answers []any) []any // changes the next answer; nil: no change

	mu    sync.Mutex
	trips [][]string // the keys of each
}

func newFake() *fake { return &fake{let: make(chan error)} }

func (f *fake) EvalSha(ctx context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	f.mu.Lock()
	f.trips = append(f.trips, keys)
	f.mu.Unlock()
	var err error
	select {
	case err = <-f.let:
	case <-ctx.Done():
		err = ctx.Err()
	}
	cmd := redis.NewCmd(ctx)
	if err != nil {
		cmd.SetErr(err)
		return cmd
	}
	answers := []any{args[2]} // the number of the round trip
	for _, key := range keys {
		answers = append(answers, []any{key})
	}
	if f.spoil != nil {
		answers, f.spoil = f.spoil(answers), nil
	}
	cmd.SetVal(answers)
	return cmd
}

func (f *fake) roundTrips() [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trips
}

func echo(f *fake) *redisbatch.Script {
	return redisbatch.New(redisbatch.Config{Client: f, Keys: 1, Timeout: time.Second})
}

// caller makes a call in its own goroutine and keeps the result.
type caller struct {
	answer []any
	err    error
	took   time.Duration
	cancel context.CancelFunc
}

func ask(t *testing.T, s *redisbatch.Script, key string) *caller {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &caller{cancel: cancel}
	began := time.Now()
	go func() {
		c.answer, c.err = s.Run(ctx, redisbatch.Call{Keys: []string{key}})
		c.took = time.Since(began)
	}()
	synctest.Wait()
	return c
}

func (c *caller) want(t *testing.T, key string) {
	t.Helper()
	synctest.Wait()
	if c.err != nil || len(c.answer) != 1 || c.answer[0] != key {
		t.Errorf("got %v, error %v, want %q", c.answer, c.err, key)
	}
}

func TestConcurrentCallsShareARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := echo(f)
		first := ask(t, s, "first")
		var others []*caller
		for i := range 100 {
			others = append(others, ask(t, s, fmt.Sprint(i)))
		}
		f.let <- nil
		first.want(t, "first")
		f.let <- nil
		for i, c := range others {
			c.want(t, fmt.Sprint(i))
		}
		if trips := f.roundTrips(); len(trips) != 2 || len(trips[0]) != 1 || len(trips[1]) != 100 {
			t.Errorf("%d round trips, want one for the first and one for the others", len(trips))
		}
		alone := ask(t, s, "alone")
		f.let <- nil
		alone.want(t, "alone")
	})
}

func TestARoundTripIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := echo(f)
		var all []*caller
		for i := range 1 + 2*256 + 1 {
			all = append(all, ask(t, s, fmt.Sprint(i)))
		}
		for range 4 {
			f.let <- nil
		}
		for i, c := range all {
			c.want(t, fmt.Sprint(i))
		}
		for i, want := range []int{1, 256, 256, 1} {
			if got := len(f.roundTrips()[i]); got != want {
				t.Errorf("round trip %d has %d calls, want %d", i, got, want)
			}
		}
	})
}

func TestAnEarlyCancellationMakesNoRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := echo(f).Run(ctx, redisbatch.Call{Keys: []string{"a"}})
		synctest.Wait()
		if !errors.Is(err, context.Canceled) || len(f.roundTrips()) != 0 {
			t.Errorf("error %v after round trips %v", err, f.roundTrips())
		}
	})
}

func TestACancelledCallerDoesNotAffectOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := echo(f)
		first := ask(t, s, "first")
		second, third := ask(t, s, "second"), ask(t, s, "third")
		second.cancel()
		synctest.Wait()
		if !errors.Is(second.err, context.Canceled) {
			t.Errorf("the second got %v", second.err)
		}
		first.cancel()
		synctest.Wait()
		if !errors.Is(first.err, context.Canceled) {
			t.Errorf("the first got %v", first.err)
		}
		f.let <- nil // its caller is gone
		f.let <- nil
		third.want(t, "third")
	})
}

func TestAnOutageReachesAllCallersAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := echo(f)
		outage := errors.New("no connection")
		all := []*caller{ask(t, s, "a"), ask(t, s, "b"), ask(t, s, "c")}
		f.let <- outage
		f.let <- outage
		synctest.Wait()
		for i, c := range all {
			if !errors.Is(c.err, outage) {
				t.Errorf("caller %d got %v", i, c.err)
			}
		}
		again := ask(t, s, "again")
		f.let <- nil
		again.want(t, "again")
	})
}

// With a silent Redis, the first caller of a batch sets the deadline for all of it.
func TestTheTimeoutIncludesTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := echo(newFake())
		all := []*caller{ask(t, s, "a")}
		for i := range 10 {
			time.Sleep(90 * time.Millisecond)
			all = append(all, ask(t, s, fmt.Sprint(i)))
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for i, c := range all {
			if !errors.Is(c.err, context.DeadlineExceeded) || c.took > 1090*time.Millisecond {
				t.Errorf("caller %d got %v after %v", i, c.err, c.took)
			}
		}
	})
}
