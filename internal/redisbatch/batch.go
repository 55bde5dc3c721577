// Package redisbatch runs one Lua script in Redis for many callers at a time.
// While Redis works for one of them, the calls of the others are gathered, and
// are then made in one round trip: for a busy service that is most of what
// asking Redis costs. A caller who is alone does not wait for others.
//
// It never makes one caller's fault another's: what fails for one call of a
// round trip fails for that one. Only an outage is everybody's.
package redisbatch

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed each.lua
var each string

// maxCalls bounds a round trip: Redis does nothing else meanwhile.
const maxCalls = 256

// Call is what one caller asks: the KEYS and ARGV of a call of its own. All calls
// of a script have as many as the others; a key may be empty.
type Call struct {
	Keys []string
	Args []any
}

// Script is a script for many callers. It is safe for concurrent use.
type Script struct {
	config Config
	script *redis.Script
	trip   int64 // the number of the round trip; serve alone has to do with it

	mu      sync.Mutex
	busy    bool     // serve runs
	waiting []*batch // those who have come since it took one; all but the last are full
}

// Config is what a Script needs.
type Config struct {
	Client redis.Scripter
	// Text defines a Lua function one(keys, args), which returns what a script with
	// these KEYS and ARGV would.
	Text string
	// Keys and Args are how many of them a Call has. Keys is at least 1.
	Keys, Args int
	// Timeout is how long a call takes at most, also when it had to wait for the
	// one before. It has to be positive.
	Timeout time.Duration
}

// New returns a script. It does not connect.
func New(c Config) *Script {
	// The numbers of different scripts are not to be the same ones, and Lua's are
	// exact below 2^53.
	var first [8]byte
	_, _ = rand.Read(first[2:])                      // never fails (crypto/rand)
	trip := int64(binary.BigEndian.Uint64(first[:])) //nolint:gosec // 48 bits

	return &Script{config: c, script: redis.NewScript(c.Text + each), trip: trip}
}

// Run makes a call and returns what one returned for it. The error may be that of
// ctx; the call may have been made nevertheless, as with any outage. It panics when
// the call has not as many keys and arguments as it should: they would be taken
// for those of the others.
func (s *Script) Run(ctx context.Context, call Call) ([]any, error) {
	if len(call.Keys) != s.config.Keys || len(call.Args) != s.config.Args {
		panic(fmt.Sprintf("a call with %d keys and %d arguments", len(call.Keys), len(call.Args)))
	}
	s.mu.Lock()
	b, i := s.join(call)
	if !s.busy {
		s.busy = true
		go s.serve() //nolint:gosec // for others than this caller, too: see there
	}
	s.mu.Unlock()
	select {
	case <-b.done:
		return b.answer(i)
	case <-ctx.Done():
		return nil, ctx.Err() //nolint:wrapcheck // the caller's own, as it came
	}
}

// batch is the calls of one round trip. It is written by whoever holds mu while it
// waits, and by whoever runs it until done is closed.
type batch struct {
	since time.Time // of the first call
	calls int
	keys  []string
	args  []any
	done  chan struct{}

	answers []any // one for each call, unless there is err
	err     error
}

// join puts a call with those that wait. The caller holds mu.
func (s *Script) join(call Call) (b *batch, i int) {
	if last := len(s.waiting) - 1; last >= 0 && s.waiting[last].calls < maxCalls {
		b = s.waiting[last]
	} else {
		b = &batch{since: time.Now(), done: make(chan struct{})}
		s.waiting = append(s.waiting, b)
	}
	b.keys = append(b.keys, call.Keys...)
	b.args = append(b.args, call.Args...)
	b.calls++
	return b, b.calls - 1
}

// serve makes the calls of those who wait, until nobody does.
func (s *Script) serve() {
	for {
		// Who is about to ask, on this processor, shall be in time for this round trip.
		runtime.Gosched()
		b := s.first()
		if b == nil {
			return
		}
		// Not a caller's context: nobody's going away is another's fault.
		ctx, cancel := context.WithDeadline(context.Background(), b.since.Add(s.config.Timeout))
		s.run(ctx, b)
		cancel()
		close(b.done)
	}
}

// first takes out the batch that has waited longest.
func (s *Script) first() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.busy = false
		return nil
	}
	b := s.waiting[0]
	s.waiting = s.waiting[1:]
	return b
}

var (
	errAnother = errors.New("the answer is not that of this round trip")
	errNone    = errors.New("no answer of the script")
)

// run makes a round trip. Its number has to come back with the answers: a
// connection that is one answer behind would hand each caller what is another's,
// and nothing else would show it.
func (s *Script) run(ctx context.Context, b *batch) {
	defer func() {
		// It is in no caller's goroutine, so it would end the process.
		if p := recover(); p != nil {
			b.err = fmt.Errorf("the round trip panicked: %v", p)
		}
	}()
	s.trip++
	args := append([]any{s.config.Keys, s.config.Args, s.trip}, b.args...)
	answers, err := s.script.Run(ctx, s.config.Client, b.keys, args...).Slice()
	switch {
	case err != nil:
		b.err = err
	case len(answers) != 1+b.calls || answers[0] != s.trip:
		b.err = errAnother
	default:
		b.answers = answers[1:]
	}
}

func (b *batch) answer(i int) ([]any, error) {
	if b.err != nil {
		return nil, b.err
	}
	switch answer := b.answers[i].(type) {
	case []any:
		return answer, nil
	case string:
		return nil, errors.New(answer)
	default:
		return nil, errNone
	}
}
