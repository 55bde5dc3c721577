package app_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/auth/session"
)

// leastPrivileged makes the user of docs/deployment.md in a Redis, and returns its
// URL and its commands.
func leastPrivileged(t *testing.T, r ownRedis) (url string, commands []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ACL SETUSER dropgate on .*$`).FindString(string(text))
	if line == "" {
		t.Fatal("docs/deployment.md has no ACL SETUSER")
	}
	r.do(strings.Replace(line, ">PASSWORD", ">the-very-secret", 1), "ACL LOG RESET")(t)
	for word := range strings.FieldsSeq(line) {
		if command, found := strings.CutPrefix(word, "+"); found {
			commands = append(commands, command)
		}
	}
	return strings.Replace(r.url, "redis://", "redis://dropgate:the-very-secret@", 1), commands
}

// refusedByACL lists the commands and keys that Redis refused.
func (r ownRedis) refusedByACL(t *testing.T) (refused []string) {
	t.Helper()
	entries, err := r.ACLLog(t.Context(), 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		refused = append(refused, entry.Reason+" "+entry.Object)
	}
	slices.Sort(refused)
	return slices.Compact(refused)
}

// TestDocumentedRedisPermissionsAreEnough uses the Redis user of docs/deployment.md
// to sign in, vend, count, and sign out in every way.
func TestDocumentedRedisPermissionsAreEnough(t *testing.T) {
	for way, logout := range logouts() {
		t.Run(way, func(t *testing.T) {
			r := newOwnRedis(t)
			at, _ := leastPrivileged(t, r)
			s := newSite(t, 2, map[string]string{"SESSION_STORE": "redis", "REDIS_URL": at})
			subscribed(t, s.replicas...)
			b := s.browser(t)
			b.vends("before the sign-in", "401 ")
			b.signIn()
			b.vends("signed in", `200 {"token":`)
			logout(t, s, b)
			b.vends("after the logout", "401 ")
			s.countInRedis(t)
			r.refusedNothing(t)
		})
	}
}

// countInRedis fails the test unless all replicas are ready and count the rate limits
// in Redis.
func (s *site) countInRedis(t *testing.T) {
	t.Helper()
	for _, replica := range s.replicas {
		if got := replica.admin(t, "/readyz"); got.status != http.StatusOK {
			t.Errorf("readyz: %d %s", got.status, got.body)
		}
		if !strings.Contains(replica.admin(t, "/metrics").body, "\ndropgate_rate_limits_shared 1\n") {
			t.Error("the rate limits are not counted in Redis")
		}
	}
}

// refusedNothing checks that Redis refused only optional commands.
func (r ownRedis) refusedNothing(t *testing.T) {
	t.Helper()
	optional := []string{
		"command client|setinfo", "command client|maint_notifications", // the client's
		"command info", "command config|get", "command command", //nolint:dupword // the command COMMAND; all three are for warnings at the start
	}
	for _, refused := range r.refusedByACL(t) {
		if !slices.Contains(optional, refused) {
			t.Errorf("Redis refused: %s", refused)
		}
	}
}

func TestReadinessDetectsEachMissingRedisPermission(t *testing.T) {
	r := newOwnRedis(t)
	at, commands := leastPrivileged(t, r)
	options, err := redis.ParseURL(at)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	try := func() error {
		if err := client.Ping(t.Context()).Err(); err != nil {
			return err
		}
		return session.CheckWrites(t.Context(), client, "")
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		if command == "publish" || command == "subscribe" { // only for notices
			continue
		}
		r.do("SCRIPT FLUSH", "ACL SETUSER dropgate -"+command)(t) // EVAL is for a script that is not known
		if err := try(); err == nil {
			t.Errorf("without %s nothing is missing", command)
		}
		r.do("ACL SETUSER dropgate +" + command)(t)
	}
	r.do("ACL SETUSER dropgate resetkeys ~dropgate:session:*")(t)
	if err := try(); err == nil {
		t.Error("without the other keys nothing is missing")
	}
}
