package app_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// ownRedis is a Redis for this test only.
type ownRedis struct {
	*redis.Client

	url, dir string
}

func newOwnRedis(t *testing.T) ownRedis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		skip(t, err.Error())
	}
	port := freePort(t)
	dir := t.TempDir()
	run(t, exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server",
		"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "3600 1", "--appendonly", "no"))
	address := net.JoinHostPort("127.0.0.1", port)
	// One connection, which keeps its permissions.
	client := redis.NewClient(&redis.Options{Addr: address, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	until(t, "a Redis of our own", func() bool { return client.Info(t.Context()).Err() == nil })
	return ownRedis{client, "redis://" + address, dir}
}

// do runs commands, one line each.
func (r ownRedis) do(commands ...string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, command := range commands {
			var args []any
			for word := range strings.FieldsSeq(command) {
				args = append(args, word)
			}
			if err := r.Do(t.Context(), args...).Err(); err != nil {
				t.Fatalf("%s: %v", command, err)
			}
		}
	}
}

// snapshot tries to write one until it ends as wanted.
func (r ownRedis) snapshot(t *testing.T, want string) {
	t.Helper()
	until(t, "a snapshot", func() bool {
		_ = r.BgSave(t.Context()).Err() // one may be under way
		info, err := r.Info(t.Context(), "persistence").Result()
		return err == nil && strings.Contains(info, "rdb_last_bgsave_status:"+want)
	})
}

func TestReadinessNamesRedisRefusals(t *testing.T) {
	for name, refusing := range map[string]func(r ownRedis) refusal{
		"read-only": func(r ownRedis) refusal {
			return refusal{r.do("REPLICAOF 127.0.0.1 1"), r.do("REPLICAOF NO ONE"), "redis: read-only"}
		},
		"full": func(r ownRedis) refusal {
			return refusal{r.do("CONFIG SET maxmemory 1"), r.do("CONFIG SET maxmemory 0"), "redis: out of memory"}
		},
		"no snapshot": func(r ownRedis) refusal {
			file := filepath.Join(r.dir, "dump.rdb")
			return refusal{
				func(t *testing.T) {
					t.Helper()
					if err := errors.Join(os.RemoveAll(file), os.Mkdir(file, 0o700)); err != nil {
						t.Fatal(err)
					}
					r.snapshot(t, "err")
				},
				func(t *testing.T) { t.Helper(); _ = os.RemoveAll(file); r.snapshot(t, "ok") },
				"redis: cannot write its snapshot",
			}
		},
		"no permission for a command": func(r ownRedis) refusal {
			return refusal{r.do("ACL SETUSER default -zadd"), r.do("ACL SETUSER default +zadd"), "redis: missing permission"}
		},
		"no permission for scripts": func(r ownRedis) refusal {
			return refusal{r.do("ACL SETUSER default -evalsha"), r.do("ACL SETUSER default +evalsha"), "redis: missing permission"}
		},
		"no permission for some keys": func(r ownRedis) refusal {
			return refusal{r.do("ACL SETUSER default resetkeys ~dropgate:session:*"), r.do("ACL SETUSER default allkeys"), "redis: missing permission"}
		},
		"too few replicas": func(r ownRedis) refusal {
			return refusal{r.do("CONFIG SET min-replicas-to-write 1"), r.do("CONFIG SET min-replicas-to-write 0"), "redis: too few replicas"}
		},
		"another password": func(r ownRedis) refusal {
			return refusal{
				r.do("ACL SETUSER default resetpass >the-next-secret", "CLIENT KILL TYPE normal SKIPME yes"),
				r.do("ACL SETUSER default nopass"), "redis: authentication failed",
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newOwnRedis(t)
			s := newSite(t, 1, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": r.url}).replicas[0]
			refusing(r).holds(t, s, "session store")
		})
	}
}

func TestReadinessNamesUnsupportedRedis(t *testing.T) {
	for name, c := range map[string]struct {
		options []string
		path    string
		setUp   string
		reason  string
	}{
		"a cluster without slots": {options: []string{"--cluster-enabled", "yes"}, reason: "redis: cluster down"},
		"a cluster":               {options: []string{"--cluster-enabled", "yes"}, setUp: "CLUSTER ADDSLOTSRANGE 0 16383", reason: "redis: a Redis Cluster, which needs REDIS_MODE=cluster"},
		"no such database":        {path: "/99", reason: "redis: database not found"},
		"a wrong password":        {options: []string{"--requirepass", "the-right-secret"}, reason: "redis: authentication failed"},
		"a replica of nothing":    {options: []string{"--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no"}, reason: "redis: replica without its primary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			run(t, exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", append([]string{
				"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "",
			}, c.options...)...))
			if c.setUp != "" {
				client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, DialerRetries: 1})
				defer func() { _ = client.Close() }()
				until(t, c.setUp, func() bool {
					return client.Do(t.Context(), strings.Split(c.setUp, " ")[0], strings.Split(c.setUp, " ")[1], 0, 16383).Err() == nil
				})
			}
			s := newSite(t, 1, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": "redis://127.0.0.1:" + port + c.path}).replicas[0]
			until(t, c.reason, func() bool { return whyMissing(t, s.admin(t, "/readyz").body)["session store"] == c.reason })
		})
	}
}
