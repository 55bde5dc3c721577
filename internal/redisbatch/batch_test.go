package redisbatch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/redisbatch"
)

// fake is a Redis that echoes each call's key, when it is let.
type fake struct {
	redis.Scripter // nothing else is called

	let chan error // one answer for each round trip: nil, or its error

	mu    sync.Mutex
	trips [][]string // the keys of each
}

func newFake() *fake { return &fake{let: make(chan error)} }

func (f *fake) EvalSha(ctx context.Context, _ string, keys []string, _ ...any) *redis.Cmd {
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
	var answers []any
	for _, key := range keys {
		answers = append(answers, []any{key})
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

// caller asks in a goroutine of its own, and keeps what it is told.
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
		t.Errorf("told %v, error %v, want %q", c.answer, c.err, key)
	}
}

func TestThoseWhoComeMeanwhileShareARoundTrip(t *testing.T) {
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

func TestACancelledCallerPoisonsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := echo(f)
		first := ask(t, s, "first")
		second, third := ask(t, s, "second"), ask(t, s, "third")
		second.cancel()
		synctest.Wait()
		if !errors.Is(second.err, context.Canceled) {
			t.Errorf("the second is told %v", second.err)
		}
		first.cancel()
		synctest.Wait()
		if !errors.Is(first.err, context.Canceled) {
			t.Errorf("the first is told %v", first.err)
		}
		f.let <- nil // to nobody
		f.let <- nil
		third.want(t, "third")
	})
}

func TestAnOutageIsToldToAllAndOver(t *testing.T) {
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
				t.Errorf("caller %d is told %v", i, c.err)
			}
		}
		again := ask(t, s, "again")
		f.let <- nil
		again.want(t, "again")
	})
}

// Redis is silent: nobody waits longer than the one who came first to their round
// trip may, the time before it included.
func TestNobodyWaitsLongerThanTheTimeout(t *testing.T) {
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
				t.Errorf("caller %d is told %v after %v", i, c.err, c.took)
			}
		}
	})
}

func realRedis(t *testing.T) *redis.Client {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_REDIS_URL is not set")
	} else if url == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

const sum = `
local function one(keys, args)
  if args[1] == 'fail' then return redis.call('NOSUCHCOMMAND', keys[1]) end
  if args[1] == 'error' then error('of its own') end
  if args[1] == 'reply' then return redis.error_reply('WRONG said so') end
  if args[1] == 'number' then return 1 end
  return { keys[1], keys[2], args[1] + args[2] }
end
`

func TestEachCallGetsItsOwnAnswer(t *testing.T) {
	s := redisbatch.New(redisbatch.Config{Client: realRedis(t), Text: sum, Keys: 2, Args: 2, Timeout: 10 * time.Second})
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			key := fmt.Sprint("key ", i)
			got, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{key, ""}, Args: []any{i, 1}})
			if err != nil || len(got) != 3 || got[0] != key || got[1] != "" || got[2] != int64(i+1) {
				t.Errorf("call %d: %v, error %v", i, got, err)
			}
		})
	}
	all.Wait()
}

func TestACallThatFailsFailsAlone(t *testing.T) {
	s := redisbatch.New(redisbatch.Config{Client: realRedis(t), Text: sum, Keys: 2, Args: 2, Timeout: 10 * time.Second})
	bad := map[string]string{
		"fail": "unknown", "error": "of its own", "reply": "WRONG said so", "number": "no answer", "no number": "arithmetic",
	}
	var all sync.WaitGroup
	for range 100 {
		for kind, says := range bad {
			all.Go(func() {
				got, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{"a", "b"}, Args: []any{kind, 0}})
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(says)) {
					t.Errorf("%s: %v, error %v", kind, got, err)
				}
			})
			all.Go(func() {
				got, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{"a", "b"}, Args: []any{1, 2}})
				if err != nil || len(got) != 3 || got[2] != int64(3) {
					t.Errorf("beside one that fails: %v, error %v", got, err)
				}
			})
		}
	}
	all.Wait()
}

// BenchmarkRun counts how many calls a round trip has when 64 callers ask.
func BenchmarkRun(b *testing.B) {
	options, err := redis.ParseURL(os.Getenv("TEST_REDIS_URL"))
	if err != nil {
		b.Skip("TEST_REDIS_URL is not set")
	}
	client := redis.NewClient(options)
	b.Cleanup(func() { _ = client.Close() })
	s := redisbatch.New(redisbatch.Config{Client: client, Text: sum, Keys: 2, Args: 2, Timeout: 10 * time.Second})
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Run(b.Context(), redisbatch.Call{Keys: []string{"a", "b"}, Args: []any{1, 2}}); err != nil {
				b.Error(err)
			}
		}
	})
}
