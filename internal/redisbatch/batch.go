// Package redisbatch runs one Lua script in Redis for concurrent callers. While
// Redis works, new calls are collected and then sent in one round trip, because
// round trips are most of the cost of Redis in a busy service. A lone caller
// does not wait for others (docs/decisions/0018).
//
// A failed call never fails the others of its round trip. Only an outage affects
// them all.
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

// maxCalls bounds a round trip, because it blocks Redis.
const maxCalls = 256

// Call has the KEYS and ARGV of one caller. All calls of a script have the same
// number of them. A key may be empty.
type Call struct {
	Keys []string
	Args []any
}

// Script runs for many callers. It is safe for concurrent use.
type Script struct {
	config Config
	script *redis.Script
	trip   int64 // the number of the round trip; only serve uses it

	mu      sync.Mutex
	busy    bool     // serve runs
	waiting []*batch // batches not yet taken by serve; all but the last are full
}

// Config is the configuration of a Script. All fields but Args are required.
type Config struct {
	Client redis.Scripter
	// Text defines a Lua function one(keys, args). It returns the same as a script
	// with these KEYS and ARGV.
	Text string
	// Keys and Args are the numbers of keys and arguments of each Call. Keys is at
	// least 1.
	Keys, Args int
	// Timeout is the longest time for a call, including the wait for the round trip
	// before. It must be positive.
	Timeout time.Duration
}

// New returns a script. It does not connect.
func New(c Config) *Script {
	// Start at random, so that scripts do not share numbers. Lua's numbers are exact
	// below 2^53.
	var first [8]byte
	_, _ = rand.Read(first[2:])                      // never fails (crypto/rand)
	trip := int64(binary.BigEndian.Uint64(first[:])) //nolint:gosec // 48 bits

	return &Script{config: c, script: redis.NewScript(c.Text + each), trip: trip}
}

// Run makes a call and returns its result. The error may be that of ctx. After any
// error Redis may still have run the call. Run panics on a wrong number of keys or
// arguments, because they would shift those of the other callers.
func (s *Script) Run(ctx context.Context, call Call) ([]any, error) {
	if len(call.Keys) != s.config.Keys || len(call.Args) != s.config.Args {
		panic(fmt.Sprintf("a call with %d keys and %d arguments", len(call.Keys), len(call.Args)))
	}
	if err := ctx.Err(); err != nil { // a canceled caller changes nothing
		return nil, err //nolint:wrapcheck // the caller's own error, unchanged
	}
	s.mu.Lock()
	b, i := s.join(call)
	if !s.busy {
		s.busy = true
		go s.serve() //nolint:gosec // not with ctx, because it serves other callers too
	}
	s.mu.Unlock()
	select {
	case <-b.done:
		return b.answer(i)
	case <-ctx.Done():
		return nil, ctx.Err() //nolint:wrapcheck // the caller's own error, unchanged
	}
}

// batch holds the calls of one round trip. While it waits, Script.mu guards it.
// Then serve owns it until it closes done.
type batch struct {
	since time.Time // of the first call
	calls int
	keys  []string
	args  []any
	done  chan struct{}

	answers []any // one for each call, if err is nil
	err     error
}

// join adds a call to the last waiting batch. The caller holds mu.
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

// serve runs the waiting batches until none is left.
func (s *Script) serve() {
	for {
		// Let other goroutines on this processor join first.
		runtime.Gosched()
		b := s.first()
		if b == nil {
			return
		}
		// Not a caller's context, so that one disconnect does not fail the others.
		ctx, cancel := context.WithDeadline(context.Background(), b.since.Add(s.config.Timeout))
		s.run(ctx, b)
		cancel()
		close(b.done)
	}
}

// first removes and returns the oldest waiting batch, or nil.
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
	errAnother = errors.New("the answer belongs to another round trip")
	errNone    = errors.New("the script gave no answer")
)

// run makes a round trip. Its number must come back with the answers. Otherwise a
// connection one answer behind would silently give callers each other's answers.
func (s *Script) run(ctx context.Context, b *batch) {
	defer func() {
		// A panic in this goroutine would end the process.
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
