package redisbatch_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/redisbatch"
)

// roundOf starts callers for the keys in one round trip, not yet answered.
func roundOf(t *testing.T, f *fake, s *redisbatch.Script, keys ...string) (all []*caller) {
	t.Helper()
	first := ask(t, s, "first")
	for _, key := range keys {
		all = append(all, ask(t, s, key))
	}
	f.let <- nil
	first.want(t, "first")
	return all
}

// A wrong answer is an outage for all callers of the round trip.
func TestAWrongAnswerReachesNoCaller(t *testing.T) {
	var before []any
	for name, spoil := range map[string]func([]any) []any{
		"of a round trip before": func([]any) []any { return before },
		"one too few":            func(answers []any) []any { return answers[:len(answers)-1] },
		"the first is missing":   func(answers []any) []any { return append(answers[:1:1], answers[2:]...) },
		"one too many":           func(answers []any) []any { return append(answers, []any{"of somebody"}) },
		"no number":              func(answers []any) []any { return answers[1:] },
		"another kind of number": func(answers []any) []any { return append([]any{[]any{"1"}}, answers[1:]...) },
		"nothing":                func([]any) []any { return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			s := echo(f)
			others := roundOf(t, f, s, "x", "y")
			f.spoil = func(answers []any) []any { before = answers; return answers }
			f.let <- nil
			others[0].want(t, "x")
			all := roundOf(t, f, s, "a", "b")
			f.spoil = spoil
			f.let <- nil
			synctest.Wait()
			for i, c := range all {
				if c.err == nil || c.answer != nil {
					t.Errorf("%s: caller %d got %v, error %v", name, i, c.answer, c.err)
				}
			}
			next := roundOf(t, f, s, "c", "d")
			f.let <- nil
			next[0].want(t, "c")
			next[1].want(t, "d")
		})
	}
}

// A lone caller is protected, too.
func TestALoneCallerNeverGetsAnothersAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := echo(f)
		var before []any
		f.spoil = func(answers []any) []any { before = answers; return answers }
		bob := ask(t, s, "bob")
		f.let <- nil
		bob.want(t, "bob")
		f.spoil = func([]any) []any { return before }
		alice := ask(t, s, "alice")
		f.let <- nil
		synctest.Wait()
		if alice.err == nil || alice.answer != nil {
			t.Errorf("got %v, error %v", alice.answer, alice.err)
		}
	})
}

// Scripts share connections, so one may receive another's answer to the same number
// of calls.
func TestAScriptNeverGetsAnotherScriptsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		one, other := echo(f), echo(f)
		for trip := range 3 {
			var ones []any
			f.spoil = func(answers []any) []any { ones = answers; return answers }
			bob := ask(t, one, "bob")
			f.let <- nil
			bob.want(t, "bob")
			f.spoil = func([]any) []any { return ones }
			alice := ask(t, other, "alice")
			f.let <- nil
			synctest.Wait()
			if alice.err == nil || alice.answer != nil {
				t.Errorf("round trip %d: got %v, error %v", trip, alice.answer, alice.err)
			}
		}
	})
}

// One extra key would silently shift the keys of all others.
func TestACallWithExtraKeysPanicsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := redisbatch.New(redisbatch.Config{Client: f, Keys: 1, Args: 1, Timeout: time.Second})
		panics := func(call redisbatch.Call) (said any) {
			defer func() { said = recover() }()
			_, _ = s.Run(t.Context(), call)
			return nil
		}
		run := func(key string) *caller {
			c := &caller{}
			go func() { c.answer, c.err = s.Run(t.Context(), redisbatch.Call{Keys: []string{key}, Args: []any{1}}) }()
			synctest.Wait()
			return c
		}
		for _, busy := range []bool{false, true} {
			var first, second *caller
			if busy {
				first, second = run("first"), run("second")
			}
			for _, call := range []redisbatch.Call{
				{}, {Keys: []string{"a"}}, {Args: []any{1}}, {Keys: []string{"a", "b"}, Args: []any{1}}, {Keys: []string{"a"}, Args: []any{1, 2}},
			} {
				if panics(call) == nil {
					t.Errorf("%v is accepted", call)
				}
			}
			if busy {
				f.let <- nil
				first.want(t, "first")
				f.let <- nil
				second.want(t, "second")
			}
		}
	})
}

// broken panics on each call.
type broken struct{ redis.Scripter }

func (broken) EvalSha(context.Context, string, []string, ...any) *redis.Cmd { panic("broken") }

func TestAPanicBecomesAnError(t *testing.T) {
	s := redisbatch.New(redisbatch.Config{Client: broken{}, Keys: 1, Timeout: time.Minute})
	for range 2 {
		if _, err := s.Run(t.Context(), redisbatch.Call{Keys: []string{"a"}}); err == nil || !strings.Contains(err.Error(), "panicked") {
			t.Errorf("error %v", err)
		}
	}
}
