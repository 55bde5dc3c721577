package app_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/tcpproxy"
)

// node is a Redis that a test may kill.
type node struct {
	ownRedis

	port string
	cmd  *exec.Cmd
}

// startNode starts a server and waits until it answers.
func startNode(t *testing.T, args ...string) *node {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		skip(t, err.Error())
	}
	port := nodePort(t)
	n := &node{port: port, cmd: exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server",
		append(args, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir())...)}
	run(t, n.cmd)
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	n.ownRedis = ownRedis{client, "redis://127.0.0.1:" + port, ""}
	until(t, "a node", func() bool { return client.Info(t.Context()).Err() == nil })
	return n
}

// nodePort returns a free port. A node of a cluster also listens on the port above it
// by 10000.
func nodePort(t *testing.T) string {
	t.Helper()
	for {
		_, port, err := net.SplitHostPort(tcpproxy.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		if bus, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", number+10000)); err == nil {
			_ = bus.Close() // a port above 65535 is an error
			return port
		}
	}
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill() // run waits for it
}

// says waits until INFO of a section contains a text.
func (n *node) says(t *testing.T, section, text string) {
	t.Helper()
	until(t, text, func() bool {
		info, err := n.Info(t.Context(), section).Result()
		return err == nil && strings.Contains(info, text)
	})
}

// catchesUp waits until a replica has everything its master has written so far. WAIT would
// only wait for the writes of one connection.
func (n *node) catchesUp(t *testing.T, master *node) {
	t.Helper()
	written := master.offset(t, "master_repl_offset")
	until(t, "the replication", func() bool { return n.offset(t, "slave_repl_offset") >= written })
}

// offset returns a number of INFO replication.
func (n *node) offset(t *testing.T, name string) (offset int64) {
	t.Helper()
	info, err := n.Info(t.Context(), "replication").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(info, name+":")
	if _, err := fmt.Sscanf(value, "%d", &offset); err != nil {
		t.Fatalf("no %s in %q: %v", name, info, err)
	}
	return offset
}

// watchedRedis is a master and its replica, with three Sentinels.
type watchedRedis struct {
	master, replica *node
	watchers        []*node
	url             string // for REDIS_MODE=sentinel
}

func sentinels(t *testing.T) watchedRedis {
	t.Helper()
	master := startNode(t, "--save", "")
	replica := startNode(t, "--save", "", "--replicaof", "127.0.0.1 "+master.port)
	replica.says(t, "replication", "master_link_status:up")
	watchers := make([]*node, 3)
	for i := range watchers {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		if err := os.WriteFile(file, fmt.Appendf(nil, "sentinel monitor the-master 127.0.0.1 %s 2\nsentinel down-after-milliseconds the-master 500\n"+
			"sentinel failover-timeout the-master 5000\n", master.port), 0o600); err != nil {
			t.Fatal(err)
		}
		watchers[i] = startNode(t, file, "--sentinel")
	}
	for _, watcher := range watchers {
		watcher.says(t, "sentinel", "slaves=1,sentinels=3")
	}
	return watchedRedis{master, replica, watchers, fmt.Sprintf("redis://127.0.0.1:%s/0?master_name=the-master&addr=127.0.0.1:%s&addr=127.0.0.1:%s", watchers[0].port, watchers[1].port, watchers[2].port)}
}

// continues waits until a browser gets tokens from all replicas again, and checks that
// another one, which signed out, never does.
func continues(t *testing.T, stays, left browser) {
	t.Helper()
	until(t, "a token from all replicas", func() bool {
		if got := left.vend(); strings.HasPrefix(got, "200 ") {
			t.Fatalf("after the logout: %s", got)
		}
		return stays.everywhere("200 ")
	})
	until(t, "the logout at all replicas", func() bool { return left.everywhere("401 ") })
}

func TestSessionsOutliveSentinelFailover(t *testing.T) {
	t.Parallel()
	r := sentinels(t)
	master, replica, url := r.master, r.replica, r.url
	s := newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_MODE": "sentinel", "REDIS_URL": url, "RATE_LIMIT_IP": "100000/1m", "RATE_LIMIT_USER": "100000/1m"})
	subscribed(t, s.replicas...)
	stays, left := s.browser(t), s.browser(t)
	stays.signIn()
	left.signIn()
	left.logout()
	replica.catchesUp(t, master)
	stays.vends("before", "200 ")
	s.countInRedis(t)
	master.kill()
	continues(t, stays, left)
	replica.says(t, "replication", "role:master")
	subscribed(t, s.replicas...)
	until(t, "readiness and shared limits", func() bool {
		stays.vends("afterwards", "200 ") // requests notice the end of an outage
		return !slices.ContainsFunc(s.replicas, func(r *service) bool {
			return r.admin(t, "/readyz").status != http.StatusOK || r.metric(t, "dropgate_rate_limits_shared") != 1
		})
	})
	if n := s.replicas[0].metric(t, "dropgate_session_store_setbacks_total"); n != 0 {
		t.Errorf("%d setbacks, want none: nothing was lost", n)
	}
}

// TestSentinelFailoverRevivesNoEndedSession: the master dies before its replica has the
// logout, so all sessions end.
func TestSentinelFailoverRevivesNoEndedSession(t *testing.T) {
	t.Parallel()
	r := sentinels(t)
	master, replica, url := r.master, r.replica, r.url
	s := newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_MODE": "sentinel", "REDIS_URL": url, "RATE_LIMIT_IP": "100000/1m", "RATE_LIMIT_USER": "100000/1m"})
	subscribed(t, s.replicas...)
	stays, left := s.browser(t), s.browser(t)
	stays.signIn()
	left.signIn()
	replica.catchesUp(t, master)
	master.do("ACL SETUSER default -psync", "CLIENT KILL TYPE replica")(t)
	replica.says(t, "replication", "master_link_status:down")
	left.logout()
	left.vends("after the logout", "401 ")
	stays.vends("before the fail-over", "200 ")
	master.kill()
	until(t, "the end of all sessions", func() bool {
		if got := left.vend(); strings.HasPrefix(got, "200 ") {
			t.Fatalf("after the logout: %s", got)
		}
		return stays.everywhere("401 ")
	})
	replica.says(t, "replication", "role:master")
	stays.get(s.URL + "/dropgate/auth/login?return_to=/dropgate/session") // the provider knows her
	stays.vends("signed in again", "200 ")
	left.vends("after all", "401 ")
}

// cluster starts three masters. It returns the URL for REDIS_MODE=cluster.
func cluster(t *testing.T) (masters []*node, url string) {
	t.Helper()
	ranges := []string{"0 5460", "5461 10922", "10923 16383"}
	for range ranges {
		masters = append(masters, startNode(t, clustered()...))
	}
	for i, master := range masters {
		master.do("CLUSTER ADDSLOTSRANGE "+ranges[i], "CLUSTER MEET 127.0.0.1 "+masters[0].port)(t)
	}
	for _, master := range masters {
		master.whole(t, len(masters))
	}
	return masters, fmt.Sprintf("redis://127.0.0.1:%s?addr=127.0.0.1:%s&addr=127.0.0.1:%s", masters[0].port, masters[1].port, masters[2].port)
}

func clustered() []string {
	return []string{"--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", "1500"}
}

// whole waits until a node knows all nodes of a working cluster.
func (n *node) whole(t *testing.T, nodes int) {
	t.Helper()
	until(t, "the cluster", func() bool {
		info, err := n.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", nodes))
	})
}

// TestEverythingWorksInARedisCluster with the documented permissions.
func TestEverythingWorksInARedisCluster(t *testing.T) {
	t.Parallel()
	masters, url := cluster(t)
	for _, master := range masters {
		leastPrivileged(t, master.ownRedis)
		master.do("ACL SETUSER dropgate +cluster|slots")(t)
	}
	url = strings.Replace(url, "redis://", "redis://dropgate:the-very-secret@", 1)
	s := newSite(t, 2, map[string]string{
		"SESSION_STORE": "redis", "REDIS_MODE": "cluster", "REDIS_URL": url,
		"RATE_LIMIT_IP": "100000/1m", "RATE_LIMIT_USER": "100000/1m", "RATE_LIMIT_CREATE": "2/1h",
		"ADMIN_TOKEN": "ann:rw:" + adminToken + ",audit:ro:" + readToken,
	})
	subscribed(t, s.replicas...)
	for way, logout := range logouts() {
		b := s.browser(t)
		b.vends(way+", before the sign-in", "401 ")
		b.signIn()
		b.vends(way+", signed in", `200 {"token":`)
		logout(t, s, b)
		b.vends(way+", after the logout", "401 ")
	}
	s.operatorsEnd(t)
	s.countInRedis(t)
	used := 0
	for _, master := range masters {
		master.refusedNothing(t)
		if size, err := master.DBSize(t.Context()).Result(); err != nil {
			t.Error(err)
		} else if size > 0 {
			used++
		}
	}
	if used != 1 {
		t.Errorf("%d nodes have keys, want 1: they change together", used)
	}
	for _, replica := range s.replicas {
		if strings.Contains(replica.logs.String(), "CROSSSLOT") {
			t.Error("a call had keys of several slots")
		}
	}
}

func TestSessionsOutliveClusterFailover(t *testing.T) {
	t.Parallel()
	masters, url := cluster(t)
	s := newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_MODE": "cluster", "REDIS_URL": url, "RATE_LIMIT_IP": "100000/1m", "RATE_LIMIT_USER": "100000/1m"})
	stays, left := s.browser(t), s.browser(t)
	stays.signIn()
	left.signIn()
	owner := masters[slices.IndexFunc(masters, func(n *node) bool { return n.DBSize(t.Context()).Val() > 0 })]
	id, err := owner.Do(t.Context(), "CLUSTER", "MYID").Text()
	if err != nil {
		t.Fatal(err)
	}
	replica := startNode(t, clustered()...)
	replica.do("CLUSTER MEET 127.0.0.1 " + owner.port)(t)
	for _, n := range append([]*node{replica}, masters...) {
		n.whole(t, 4)
	}
	replica.do("CLUSTER REPLICATE " + id)(t)
	replica.says(t, "replication", "master_link_status:up")
	left.logout()
	replica.catchesUp(t, owner)
	owner.kill()
	replica.says(t, "replication", "role:master")
	continues(t, stays, left)
	until(t, "readiness", func() bool { return s.replicas[0].admin(t, "/readyz").status == http.StatusOK })
}

// TestStartWarnsOfOneRiskyClusterNode: only one of them has a wrong setting.
func TestStartWarnsOfOneRiskyClusterNode(t *testing.T) {
	t.Parallel()
	masters, url := cluster(t)
	masters[2].do("CONFIG SET maxmemory 100mb", "CONFIG SET maxmemory-policy allkeys-lru")(t)
	s := newSite(t, 1, map[string]string{"SESSION_STORE": "redis", "REDIS_MODE": "cluster", "REDIS_URL": url}).replicas[0]
	until(t, "a warning", func() bool { return strings.Contains(s.logs.String(), "maxmemory-policy is allkeys-lru") })
}

func TestRedisModeFaultsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		mode, url, want string
	}{
		"unknown":                       {"ring", "redis://localhost", "REDIS_MODE: must be server, sentinel or cluster"},
		"no URL":                        {"cluster", "", "REDIS_URL: is required for REDIS_MODE=cluster"},
		"no master":                     {"sentinel", "redis://localhost:26379", "REDIS_URL: is not a URL such as"},
		"a database in a cluster":       {"cluster", "redis://localhost:6379?db=1", "REDIS_URL: is not a URL such as"},
		"replicas of a master":          {"sentinel", "redis://localhost:26379?master_name=m&replica_only=true", "REDIS_URL: must not read from replicas"},
		"replicas of a cluster":         {"cluster", "redis://localhost:6379?read_only=true", "REDIS_URL: must not read from replicas"},
		"random nodes":                  {"cluster", "redis://localhost:6379?route_randomly=true", "REDIS_URL: must not read from replicas"},
		"a Sentinel without encryption": {"sentinel", "redis://localhost:26379?master_name=m", "REDIS_URL: reaches another machine"},
		"a cluster without encryption":  {"cluster", "redis://localhost:6379", "REDIS_URL: reaches another machine"},
		"a cluster without proof":       {"cluster", "rediss://node.internal:6379?skip_verify=true", "REDIS_URL: is not a URL such as"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := faultsOf(t, production(map[string]string{"REDIS_MODE": c.mode, "REDIS_URL": c.url}))
			if len(faults) != 1 || !strings.HasPrefix(faults[0], c.want) {
				t.Errorf("%q, want %q", faults, c.want)
			}
		})
	}
	for mode, url := range map[string]string{"sentinel": "rediss://s.internal:26379?master_name=m&addr=t.internal:26379", "cluster": "rediss://u:p@n.internal:6379?addr=o.internal:6379"} {
		if faults := faultsOf(t, production(map[string]string{"REDIS_MODE": mode, "REDIS_URL": url})); faults != nil {
			t.Errorf("%s: %q", mode, faults)
		}
	}
}
