package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/tcpproxy"
)

// servers are the kinds of Redis.
var servers = map[string]func(t testing.TB) *world{"Redis": newRedis, "miniredis": newMiniredis}

func onServers(t *testing.T, test func(t *testing.T, w *world)) {
	for kind, newWorld := range servers {
		t.Run(kind, func(t *testing.T) { test(t, newWorld(t)) })
	}
}

func TestReplicasShareSessions(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		ann, bob, once := w.start(t, w.of("ann", "a")), w.start(t, w.of("bob", "b")), rand.Text()
		w.reopen(w.limits())
		w.wantExpires(t, ann, session.Extend, idle)
		w.end(t, session.Selector{Subject: w.run + "ann", Once: once}, 1)
		w.reopen(w.limits())
		w.wantGone(t, ann)
		_, err := w.End(t.Context(), session.Selector{Subject: w.run + "bob", Once: once})
		wantError(t, err, session.ErrUsed)
		w.wantThere(t, bob)
	})
}

// wantOutage checks that every operation is an outage.
func wantOutage(t *testing.T, s session.Store, secrets ...string) {
	t.Helper()
	ctx := t.Context()
	started, err := s.Start(ctx, newKey(), session.Stored{Subject: "ann"}, session.SignIn{Once: rand.Text()})
	if failure := failureOf(t, err, secrets...); started != (session.Ended{}) || failure.RetryAfter != 5*time.Second {
		t.Fatalf("ended %v, RetryAfter %v", started, failure.RetryAfter)
	}
	_, err = s.Find(ctx, newKey(), session.Extend, nil)
	wantFailure(t, err, secrets...)
	ended, err := s.End(ctx, session.Selector{Subject: "ann"})
	if wantFailure(t, err, secrets...); len(ended) != 0 {
		t.Fatalf("ended %d", len(ended))
	}
}

func TestStoppedRedisIsAnOutage(t *testing.T) {
	r := open(t, "redis://user:hunter2@"+tcpproxy.FreeAddr(t))
	wantOutage(t, r, "hunter2")
}

func TestRefusedLoginToRedisIsAnOutage(t *testing.T) {
	mini := miniredis.RunT(t)
	mini.RequireUserAuth("user", "right")
	wantOutage(t, open(t, "redis://user:hunter2@"+mini.Addr()), "hunter2")
	wantOutage(t, open(t, "redis://"+mini.Addr()))
}

func TestRedisErrorsAreAnOutage(t *testing.T) {
	w := newMiniredis(t)
	for _, message := range []string{"OOM command not allowed when used memory > 'maxmemory'", "LOADING Redis is loading the dataset in memory", "ERR unknown command"} {
		w.mini.SetError(message)
		wantOutage(t, w)
	}
	w.mini.SetError("")
	w.start(t, w.of("ann", ""))
}

// hangingServer accepts connections and never answers.
func hangingServer(t *testing.T) string {
	t.Helper()
	p := tcpproxy.New(t, tcpproxy.FreeAddr(t))
	p.Fail(tcpproxy.Fault{Hang: true})
	return "redis://" + p.Addr
}

func TestHangingRedisTimesOutAtTheCallersDeadline(t *testing.T) {
	r := open(t, hangingServer(t))
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		begin := time.Now()
		_, err := r.Find(ctx, newKey(), session.Extend, nil)
		cancel()
		wantFailure(t, err)
		if took := time.Since(begin); took > 1500*ms {
			t.Errorf("after %v", took)
		}
	}
}

// The store waits 2 seconds, and 2 more on a new connection.
func TestHangingRedisTimesOut(t *testing.T) {
	t.Parallel()
	r := open(t, hangingServer(t))
	begin := time.Now()
	_, err := r.Find(t.Context(), newKey(), session.Extend, nil)
	wantFailure(t, err)
	if took := time.Since(begin); took < 1500*ms || took > 10*time.Second {
		t.Errorf("after %v", took)
	}
}

// hanging is a client hook: commands hang until the caller gives up.
type hanging struct{ *trips }

func (hanging) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		<-ctx.Done()
		cmd.SetErr(ctx.Err())
		return ctx.Err()
	}
}

// This holds whatever the client retries.
func TestFindTakesTwoSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
		t.Cleanup(func() { _ = client.Close() })
		client.AddHook(hanging{})
		begin := time.Now()
		_, err := session.NewRedis(session.RedisConfig{
			Client: client, Limits: newClock().limits(), Keys: ring(t, "one"), Scope: session.Scope{Issuer: "https://id.example.com"},
			Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		}).Find(t.Context(), newKey(), session.Extend, nil)
		wantFailure(t, err)
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// A restart breaks all connections; users must not notice afterwards.
func TestRestartedRedisIsUsedAtOnce(t *testing.T) {
	w := newMiniredis(t)
	key := w.start(t, w.of("ann", "a"))
	for range 3 {
		done := make(chan error, 20) // opens many connections
		for range cap(done) {
			go func() {
				_, err := w.Find(t.Context(), key, session.Extend, nil)
				done <- err
			}()
		}
		for range cap(done) {
			wantError(t, <-done, nil)
		}
		w.mini.Close()
		wantOutage(t, w)
		wantError(t, w.mini.Restart(), nil)
		w.wantThere(t, key, key, key)
	}
	w.end(t, session.Selector{Key: key}, 1)
}

// wantCanceled checks that err is the caller's cancellation, not an outage.
func wantCanceled(t *testing.T, err error) {
	t.Helper()
	wantError(t, err, context.Canceled)
	if failure, ok := errors.AsType[*clienttoken.Failure](err); ok {
		t.Fatalf("a canceled caller gets an outage: %v", failure)
	}
}

func TestCanceledCallChangesNothing(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		key, other, once := w.start(t, w.of("ann", "a")), newKey(), rand.Text()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.Find(ctx, key, session.Extend, nil)
		wantCanceled(t, err)
		for _, which := range []session.Selector{{Key: key}, {Subject: w.run + "ann", Once: once}, {SID: w.run + "a"}} {
			_, err = w.End(ctx, which)
			wantCanceled(t, err)
		}
		_, err = w.Start(ctx, other, w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once, Replaces: key})
		wantCanceled(t, err)
		w.wantThere(t, key)
		w.wantGone(t, other)
		w.end(t, session.Selector{Subject: w.run + "ann", Once: once}, 1) // the canceled call did not use the id
	})
}

// A restart or SCRIPT FLUSH removes scripts from the server.
func TestFlushedScriptsAreSentAgain(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		for range 3 {
			flush := func() { wantError(t, w.client.ScriptFlush(t.Context()).Err(), nil) }
			flush()
			key := w.start(t, w.of("ann", "a"))
			flush()
			w.wantExpires(t, key, session.Extend, idle)
			flush()
			w.end(t, session.Selector{Key: key, Once: rand.Text()}, 1)
			w.wantGone(t, key)
		}
	})
}

// The client retries after a lost answer, with the same sign-in or logout token.
func TestRetryAfterLostAnswerSucceeds(t *testing.T) {
	onServers(t, func(t *testing.T, w *world) {
		p := tcpproxy.New(t, w.client.Options().Addr)
		options := *w.client.Options()
		w.keysIn.open(w.replica(t, fmt.Sprintf("redis://%s/%d", p.Addr, options.DB), w.limits()))
		keys := w.fill(t, "ann")
		w.end(t, session.Selector{Key: keys[0]}, 1)

		p.LoseAnswer("evalsha")
		last, once := newKey(), rand.Text()
		ended, err := w.Start(t.Context(), last, w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once})
		if wantError(t, err, nil); ended != (session.Ended{}) {
			t.Errorf("ended %v", ended)
		}
		w.wantThere(t, slices.Concat(keys[1:], []session.Key{last})...) // the retry displaces no further session
		_, err = w.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now(), Once: once})
		wantError(t, err, session.ErrUsed)

		p.LoseAnswer("evalsha")
		w.wantExpires(t, last, session.Extend, idle)

		p.LoseAnswer("evalsha")
		notice := session.Selector{Subject: w.run + "ann", Once: rand.Text()}
		_, err = w.End(t.Context(), notice) // the lost answer has the sessions
		wantError(t, err, nil)
		w.wantGone(t, append(keys, last)...)
		_, err = w.End(t.Context(), notice)
		wantError(t, err, session.ErrUsed)
		if p.Lost() != 3 {
			t.Errorf("%d answers were lost, want 3", p.Lost())
		}
	})
}
