//go:build faults

package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dropgate/internal/postgres/postgrestest"
)

// peer is the other side of a secret. It accepts one value.
type peer struct{ accepted atomic.Pointer[string] }

func (p *peer) value() string { return *p.accepted.Load() }

// peers are the systems beside the replicas.
type peers struct {
	w                              *world
	dwolla, proxy, lookup, webhook peer
	application                    string // address
	roles                          []string
	redisUser, redisPassword       string
	admin                          *redis.Client
}

func newPeers(t *testing.T, w *world) *peers {
	t.Helper()
	p := &peers{w: w}
	first := w.settings["DWOLLA_CLIENT_SECRET"]
	p.dwolla.accepted.Store(&first)
	for name, peer := range map[string]*peer{"AUTH_PROXY_SECRET": &p.proxy, "CUSTOMER_LOOKUP_TOKEN": &p.lookup, "DWOLLA_WEBHOOK_SECRET": &p.webhook} {
		value := w.secret(name)
		peer.accepted.Store(&value)
	}
	w.dwolla.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if id, secret, basic := r.BasicAuth(); basic { // the emulator itself knows the first one
				escaped := first
				if given, err := url.QueryUnescape(secret); err != nil || given != p.dwolla.value() {
					escaped = "refused"
				}
				r.SetBasicAuth(id, url.QueryEscape(escaped))
			}
			next.ServeHTTP(rw, r)
		})
	})
	p.application = w.serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+p.lookup.value() {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.serveApplication(rw, r)
	})).Addr
	p.addRoles(t)
	p.addRedisUser(t)
	return p
}

// addRoles creates two roles that may use the database. The test server asks for no
// password, so the user changes.
func (p *peers) addRoles(t *testing.T) {
	t.Helper()
	db := postgrestest.Open(t, requireEnv(t, "TEST_POSTGRES_URL"))
	at, err := url.Parse(p.w.settings["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	schema := at.Query().Get("search_path")
	for i := range 2 {
		role := fmt.Sprintf("rotation_%d_%d", os.Getpid(), i)
		p.roles = append(p.roles, role)
		for _, statement := range []string{
			`CREATE ROLE ` + role + ` LOGIN`, `GRANT USAGE ON SCHEMA ` + schema + ` TO ` + role,
			`GRANT ALL ON ALL TABLES IN SCHEMA ` + schema + ` TO ` + role, `GRANT ALL ON ALL SEQUENCES IN SCHEMA ` + schema + ` TO ` + role,
		} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		t.Cleanup(func() {
			for _, statement := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
				if _, err := db.ExecContext(context.Background(), statement); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func (p *peers) databaseURL(role int) string {
	at, err := url.Parse(p.w.settings["DATABASE_URL"])
	if err != nil {
		return err.Error()
	}
	at.User = url.User(p.roles[role])
	return at.String()
}

// rotateDatabase replaces one role by another, which the server then refuses.
func (p *peers) rotateDatabase(t *testing.T, r *rotation) {
	t.Helper()
	db := postgrestest.Open(t, requireEnv(t, "TEST_POSTGRES_URL"))
	first, second := r.volume.files["DATABASE_URL"], strings.Replace(r.volume.files["DATABASE_URL"], p.roles[0], p.roles[1], 1)
	r.put(t, "DATABASE_URL", first, second)
	if _, err := db.ExecContext(t.Context(), `ALTER ROLE `+p.roles[0]+` NOLOGIN`); err != nil {
		t.Fatal(err)
	}
	r.put(t, "DATABASE_URL", second)
	waitFor(t, "no connection of the old role is left", 20*time.Second, func() bool {
		var left int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE usename = $1`, p.roles[0]).Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
}

func (p *peers) addRedisUser(t *testing.T) {
	t.Helper()
	p.admin = redis.NewClient(&redis.Options{Addr: sharedRedis(t)})
	p.redisUser, p.redisPassword = fmt.Sprintf("rotation-%d", os.Getpid()), p.w.secret("the password of REDIS_URL")
	p.acl(t, "SETUSER", p.redisUser, "on", "~*", "&*", "+@all", ">"+p.redisPassword)
	t.Cleanup(func() {
		if err := p.admin.Do(context.Background(), "ACL", "DELUSER", p.redisUser).Err(); err != nil {
			t.Error(err)
		}
		_ = p.admin.Close()
	})
}

func (p *peers) acl(t *testing.T, args ...any) {
	t.Helper()
	if err := p.admin.Do(t.Context(), append([]any{"ACL"}, args...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

func (p *peers) redisURL() string {
	return fmt.Sprintf("redis://%s:%s@%s", p.redisUser, url.QueryEscape(p.redisPassword), p.w.toRedis.Addr)
}

// rotateRedis changes the password. At the end, new connections use the new one.
func (p *peers) rotateRedis(t *testing.T, r *rotation) {
	t.Helper()
	before := p.redisPassword
	p.redisPassword = p.w.secret("the next password of REDIS_URL")
	p.acl(t, "SETUSER", p.redisUser, ">"+p.redisPassword)
	r.put(t, "REDIS_URL", p.redisURL())
	p.acl(t, "SETUSER", p.redisUser, "<"+before)
	if err := p.admin.Do(t.Context(), "CLIENT", "KILL", "USER", p.redisUser).Err(); err != nil {
		t.Fatal(err)
	}
	for _, replica := range r.replicas {
		waitFor(t, "the rate limits are shared with the new password", 20*time.Second, func() bool {
			_, text := replica.getAdmin(t, "/metrics")
			return strings.Contains(text, "dropgate_rate_limits_shared 1\n")
		})
	}
}
