package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/auth/session"
	"dropgate/internal/tcpproxy"
)

// server is a redis-server process of the test.
type server struct {
	t       *testing.T
	dir     string
	addr    string
	args    []string
	process *exec.Cmd
	client  *redis.Client
}

// startServer starts a server with settings, for example "--appendonly", "yes".
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal("CI has to test with a redis-server")
	} else if err != nil {
		t.Skip("redis-server is missing")
	}
	s := &server{t: t, dir: t.TempDir(), addr: tcpproxy.FreeAddr(t), args: args}
	s.client = redis.NewClient(&redis.Options{Addr: s.addr, DialerRetries: 1, MaxRetries: -1})
	t.Cleanup(func() { _ = s.client.Close() })
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx := context.WithoutCancel(s.t.Context())
	s.process = exec.CommandContext(ctx, "redis-server", append([]string{"--bind", host, "--port", port, "--dir", s.dir, "--repl-diskless-sync-delay", "0"}, s.args...)...)
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.until("it answers", func() bool { return s.client.Ping(s.t.Context()).Err() == nil })
}

// kill sends SIGKILL, so that the server cannot save.
func (s *server) kill() {
	_ = s.process.Process.Signal(syscall.SIGKILL)
	_ = s.process.Wait()
}

func (s *server) until(what string, true func() bool) {
	s.t.Helper()
	for tick := time.Tick(5 * ms); !true(); {
		select {
		case <-tick:
		case <-s.t.Context().Done():
			s.t.Fatalf("waiting until %s", what)
		}
	}
}

func (s *server) do(args ...any) {
	s.t.Helper()
	if err := s.client.Do(s.t.Context(), args...).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// replicaAt is a replica of the service with its own log and metrics.
type replicaAt struct {
	*session.Redis

	log      *strings.Builder
	registry *prometheus.Registry
}

func (w *world) replicaAt(t *testing.T, addr string) replicaAt {
	t.Helper()
	r := replicaAt{log: &strings.Builder{}, registry: prometheus.NewRegistry()}
	r.Redis = session.NewRedis(session.RedisConfig{
		Client: dialed(t, "redis://"+addr), Limits: w.limits(), Keys: w.keys, Scope: w.scope,
		Logger: zerolog.New(r.log), Registerer: r.registry,
	})
	return r
}

func (r replicaAt) finds(t *testing.T, key session.Key) error {
	t.Helper()
	_, err := r.Find(t.Context(), key, session.Extend, nil)
	return err
}

// setbacks checks how often a replica has counted and logged a loss of data.
func (r replicaAt) setbacks(t *testing.T, want int) {
	t.Helper()
	err := testutil.GatherAndCompare(r.registry, strings.NewReader(fmt.Sprintf(`# HELP dropgate_session_store_setbacks_total Times this replica noticed that Redis lost ended sessions (restore or failover). Each time, all sessions end.
# TYPE dropgate_session_store_setbacks_total counter
dropgate_session_store_setbacks_total %d
`, want)), "dropgate_session_store_setbacks_total")
	if lines := strings.Count(r.log.String(), "all users have to sign in again"); err != nil || lines != want {
		t.Errorf("%d lines, %v", lines, err)
	}
}

// setups are the ways in which Redis loses recent data.
var setups = map[string]func(t *testing.T) (s *server, remember func(), lose func() (addr string)){
	"an old snapshot": func(t *testing.T) (*server, func(), func() string) {
		s := startServer(t, "--save", "", "--appendonly", "no", "--dbfilename", "dump.rdb")
		return s, func() { s.do("SAVE") }, func() string {
			s.kill()
			s.start()
			return s.addr
		}
	},
	"a promoted stale replica": func(t *testing.T) (*server, func(), func() string) {
		s, stale := startServer(t, "--save", ""), startServer(t, "--save", "")
		host, port, _ := net.SplitHostPort(s.addr)
		stale.do("REPLICAOF", host, port)
		remember := func() {
			stale.until("it follows", func() bool {
				return stale.client.DBSize(t.Context()).Val() == s.client.DBSize(t.Context()).Val() &&
					strings.Contains(stale.client.Info(t.Context(), "replication").Val(), "master_link_status:up")
			})
			s.do("WAIT", 1, 1000)
			stale.do("REPLICAOF", "127.0.0.1", "1") // loses its master and keeps its data
		}
		return s, remember, func() string {
			stale.do("REPLICAOF", "NO", "ONE")
			s.kill()
			return stale.addr
		}
	},
	"an old copy of the file": func(t *testing.T) (*server, func(), func() string) {
		s := startServer(t, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
		var copied string
		remember := func() {
			copied = t.TempDir()
			if err := os.CopyFS(filepath.Join(copied, "appendonlydir"), os.DirFS(filepath.Join(s.dir, "appendonlydir"))); err != nil {
				t.Fatal(err)
			}
		}
		return s, remember, func() string {
			s.kill()
			s.dir = copied
			s.start()
			return s.addr
		}
	},
}

func newRestorable(t *testing.T) *world {
	t.Helper()
	c := newClock()
	return &world{clock: c, run: rand.Text(), keys: ring(t, "one"), scope: session.Scope{Origin: "https://app.example.com"}}
}

// startedIn starts a session in a store.
func (w *world) startedIn(t *testing.T, r session.Store, s session.Stored) session.Key {
	t.Helper()
	key := newKey()
	_, err := r.Start(t.Context(), key, s, session.SignIn{Began: w.Now(), Once: rand.Text()})
	wantError(t, err, nil)
	return key
}

func TestRestoredRedisRevivesNoEndedSession(t *testing.T) {
	ways := map[string]func(key, other session.Key, w *world) session.Selector{
		"by the user":                  func(key, _ session.Key, _ *world) session.Selector { return session.Selector{Key: key} },
		"by the provider, the subject": func(_, _ session.Key, w *world) session.Selector { return session.Selector{Subject: w.run + "ann"} },
		"by the provider, the sid":     func(_, _ session.Key, w *world) session.Selector { return session.Selector{SID: w.run + "a"} },
	}
	for name, setup := range setups {
		for way, which := range ways {
			t.Run(name+", ended "+way, func(t *testing.T) {
				w := newRestorable(t)
				s, remember, lose := setup(t)
				proxy := tcpproxy.New(t, s.addr)
				at := proxy.Addr
				r, bystander := w.replicaAt(t, at), w.replicaAt(t, at)
				key, other := w.startedIn(t, r, w.of("ann", "a")), w.startedIn(t, r, w.of("bob", "b"))
				wantError(t, bystander.finds(t, key), nil)
				remember()
				_, err := r.End(t.Context(), which(key, other, w))
				wantError(t, err, nil)
				wantError(t, bystander.Follow(t.Context()), nil)
				w.move(time.Second)

				proxy.Redirect(lose())
				// The replica that ended the session remembers it anyway.
				wantError(t, bystander.finds(t, key), session.ErrNone)
				wantError(t, bystander.finds(t, other), session.ErrNone)
				fresh := w.replicaAt(t, at)
				wantError(t, fresh.finds(t, key), session.ErrNone)
				wantError(t, r.finds(t, key), session.ErrNone)
				bystander.setbacks(t, 1)
				r.setbacks(t, 1)
				fresh.setbacks(t, 0)

				again := w.startedIn(t, r, w.of("ann", "a")) // sign-ins work at once
				wantError(t, fresh.finds(t, again), nil)
				_, err = r.Start(t.Context(), newKey(), w.of("ann", "a"), session.SignIn{Began: w.Now().Add(-time.Second), Once: rand.Text()})
				wantError(t, err, session.ErrLoggedOut) // the sign-in's id may have been used
			})
		}
	}
}

// With every write on disk, a crash of Redis signs no user out.
func TestRestartWithoutLossEndsNoSession(t *testing.T) {
	w := newRestorable(t)
	s := startServer(t, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	r := w.replicaAt(t, s.addr)
	key, ended := w.startedIn(t, r, w.of("ann", "a")), w.startedIn(t, r, w.of("bob", ""))
	for range 3 {
		_, err := r.End(t.Context(), session.Selector{Key: ended})
		wantError(t, err, nil)
		s.kill()
		s.start()
		wantError(t, r.finds(t, key), nil)
		wantError(t, r.finds(t, ended), session.ErrNone)
	}
	r.setbacks(t, 0)
}

// A replica refuses a session that it ended, even if the record and the epoch are
// restored exactly.
func TestReplicaRemembersSessionsItEnded(t *testing.T) {
	w := newMiniredis(t)
	key := w.start(t, w.of("ann", "a"))
	found, err := w.Find(t.Context(), key, session.Peek, nil)
	wantError(t, err, nil)
	if found.Over() {
		t.Error("Over before the end")
	}
	dumped := map[string]string{}
	for _, name := range w.mini.Keys() {
		if dump, err := w.client.Dump(t.Context(), name).Result(); err == nil {
			dumped[name] = dump
		}
	}
	w.end(t, session.Selector{SID: w.run + "a"}, 1)
	for name, dump := range dumped {
		wantError(t, w.client.RestoreReplace(t.Context(), name, time.Hour, dump).Err(), nil)
	}
	w.wantGone(t, key)
	if !found.Over() {
		t.Error("not Over after the end")
	}
}

// wantRisky checks the beginnings of the risky settings.
func (r replicaAt) wantRisky(t *testing.T, want []string) {
	t.Helper()
	got, err := r.RiskySettings(t.Context())
	if err != nil || !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestRiskySettingsAreNamed(t *testing.T) {
	w := newRestorable(t)
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"snapshots":          {[]string{"--save", "60 1"}, []string{"save is on"}},
		"the last second":    {[]string{"--save", "", "--appendonly", "yes"}, []string{"appendfsync is everysec"}},
		"eviction":           {[]string{"--save", "", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"}, []string{"maxmemory-policy is allkeys-lru"}},
		"no persistence":     {[]string{"--save", "", "--maxmemory", "64mb"}, nil},
		"all persistence":    {[]string{"--save", "60 1", "--appendonly", "yes", "--appendfsync", "always"}, nil},
		"policy, no maximum": {[]string{"--save", "", "--maxmemory-policy", "allkeys-lru"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, test.args...)
			w.replicaAt(t, s.addr).wantRisky(t, test.want)
		})
	}
	t.Run("replicas", func(t *testing.T) {
		s, stale := startServer(t, "--save", ""), startServer(t, "--save", "")
		host, port, _ := net.SplitHostPort(s.addr)
		stale.do("REPLICAOF", host, port)
		r := w.replicaAt(t, s.addr)
		s.until("it has a replica", func() bool {
			got, err := r.RiskySettings(t.Context())
			return err == nil && len(got) == 1 && strings.HasPrefix(got[0], "there are replicas")
		})
	})
	t.Run("not permitted", func(t *testing.T) {
		s := startServer(t, "--save", "")
		s.do("ACL", "SETUSER", "dropgate", "on", ">secret", "~*", "+@all", "-@admin", "-@dangerous")
		_, err := w.replicaAt(t, "dropgate:secret@"+s.addr).RiskySettings(t.Context())
		wantError(t, err, session.ErrUnknownSettings)
	})
	t.Run("away", func(t *testing.T) {
		s := startServer(t, "--save", "")
		s.kill()
		if _, err := w.replicaAt(t, s.addr).RiskySettings(t.Context()); err == nil || errors.Is(err, session.ErrUnknownSettings) {
			t.Errorf("error %v", err)
		}
	})
}
