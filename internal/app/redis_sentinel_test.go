package app_test

import (
	"strings"
	"testing"
)

// documentedPermissions are those of docs/deployment.md, for a user with a password.
const documentedPermissions = "resetchannels &dropgate:notices:* ~dropgate:* -@all +ping +eval +evalsha +time +get +set +del +hset +hmget +pexpire " +
	"+zadd +zrange +zrem +zscore +publish +subscribe +config|get +info"

// setUser gives a user of a node these permissions.
func (n *node) setUser(t *testing.T, permissions string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", "dropgate", "reset", "on", ">hunter2"}
	for permission := range strings.FieldsSeq(permissions) {
		args = append(args, permission)
	}
	if err := n.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestStartChecksTheServerBehindSentinels: Sentinels have neither settings of a store
// nor its users, so a check that asks them finds nothing.
func TestStartChecksTheServerBehindSentinels(t *testing.T) {
	t.Parallel()
	r := sentinels(t)
	for setting, value := range map[string]string{"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"} {
		if err := r.master.ConfigSet(t.Context(), setting, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r.master.setUser(t, documentedPermissions)
	s := newSite(t, 1, map[string]string{
		"SESSION_STORE": "redis", "REDIS_MODE": "sentinel", "REDIS_URL": r.url + "&username=dropgate&password=hunter2",
	})
	replica := s.replicas[0]
	for _, doubt := range []string{"maxmemory-policy is allkeys-lru", "there are replicas and min-replicas-to-write is 0"} {
		until(t, doubt, func() bool { return strings.Contains(replica.logs.String(), doubt) })
	}
	until(t, "readiness", func() bool { return replica.admin(t, "/readyz").status == 200 })
	r.master.setUser(t, strings.ReplaceAll(documentedPermissions, " +zadd", ""))
	until(t, "the missing permission", func() bool {
		got := replica.admin(t, "/readyz")
		return got.status == 503 && strings.Contains(got.body, "redis: missing permission")
	})
	r.master.setUser(t, documentedPermissions)
	until(t, "readiness again", func() bool { return replica.admin(t, "/readyz").status == 200 })
	shows(t, replica, "hunter2")
}

func TestUnknownMasterMakesReplicaUnready(t *testing.T) {
	t.Parallel()
	r := sentinels(t)
	s := newSite(t, 1, map[string]string{
		"SESSION_STORE": "redis", "REDIS_MODE": "sentinel", "REDIS_URL": strings.ReplaceAll(r.url, "the-master", "another-master"),
	})
	until(t, "the reason", func() bool {
		got := s.replicas[0].admin(t, "/readyz")
		return got.status == 503 && strings.Contains(got.body, "redis: ")
	})
}
