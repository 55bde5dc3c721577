package app_test

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// wants fails t unless the report has a failure with this hint.
func (c *clinic) wants(t *testing.T, changes map[string]string, hint string) {
	t.Helper()
	report, err := c.examine(t, changes)
	if err == nil || !strings.Contains(report, "-> "+hint) {
		t.Errorf("%v, want the hint %q:\n%s", err, hint, report)
	}
}

func TestDoctorNamesFaultOfRedis(t *testing.T) {
	c := newClinic(t)
	for _, row := range []struct{ command, hint string }{
		{"CONFIG SET maxmemory 64mb maxmemory-policy allkeys-lru", "set maxmemory-policy noeviction"},
		{"CONFIG SET maxmemory 0 appendonly yes appendfsync everysec", "set appendfsync always"},
		{"CONFIG SET appendonly no appendfsync always", ""},
		{"REPLICAOF 127.0.0.1 1", "let REDIS_URL name the primary"},
	} {
		c.redis.do(row.command)(t)
		if row.hint != "" {
			c.wants(t, nil, row.hint)
		} else if report, err := c.examine(t, nil); err != nil {
			t.Errorf("after %s: %v:\n%s", row.command, err, report)
		}
	}
}

func TestDoctorNamesMissingRightsInRedis(t *testing.T) {
	c := newClinic(t)
	least, _ := leastPrivileged(t, c.redis)
	if report, err := c.examine(t, map[string]string{"REDIS_URL": least}); err != nil || !strings.Contains(report, "not visible to this user") {
		t.Errorf("the user of the documentation: %v:\n%s", err, report)
	}
	c.redis.do("ACL SETUSER dropgate -set -setex -hset -zadd -eval -evalsha -evalsha_ro")(t)
	c.wants(t, map[string]string{"REDIS_URL": least}, "give the user the commands")
}

func TestDoctorLeavesNoKeyInRedis(t *testing.T) {
	c := newClinic(t)
	if _, err := c.examine(t, nil); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.redis.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("%q (%v)", keys, err)
	}
}

func TestDoctorNamesMissingRightsInPostgreSQL(t *testing.T) {
	c := newClinic(t)
	role := c.schema.Role(t, "PASSWORD 'the-very-secret'")
	u, err := url.Parse(c.schema.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "the-very-secret")
	c.schema.Exec(t, "GRANT USAGE ON SCHEMA "+c.schema.Name+" TO "+role)
	c.schema.Exec(t, "GRANT SELECT ON ALL TABLES IN SCHEMA "+c.schema.Name+" TO "+role)
	c.wants(t, map[string]string{"DATABASE_URL": u.String()}, "give the role the privileges")
}

func TestDoctorLooksUpUserOfEachSource(t *testing.T) {
	c := newClinic(t)
	c.schema.Exec(t, `CREATE TABLE people (id text, customer text)`)
	c.schema.Exec(t, `INSERT INTO people VALUES ('alice', '`+alicesCustomer+`')`)
	c.schema.Exec(t, `INSERT INTO dropgate_links (user_id, customer_id, linked_at) VALUES ('alice', '`+alicesCustomer+`', 0)`)
	for name, changes := range map[string]map[string]string{
		"query":    {"CUSTOMER_QUERY": "SELECT id, customer FROM people WHERE id = $1", "DWOLLA_WEBHOOK_SECRET": ""},
		"database": {},
	} {
		changes["CUSTOMER_SOURCE"], changes["CUSTOMER_LOOKUP_URL"] = name, ""
		report, err := c.examine(t, changes, "-user", "alice")
		if err != nil || !strings.Contains(report, "the user has the Customer "+alicesCustomer) {
			t.Errorf("%s: %v:\n%s", name, err, report)
		}
		report, err = c.examine(t, changes, "-user", "bob")
		if err == nil || !strings.Contains(report, "this user has no Customer") {
			t.Errorf("%s: %v:\n%s", name, err, report)
		}
	}
}

func TestDoctorNamesCertificateThatEnds(t *testing.T) {
	c := newClinic(t)
	for _, row := range []struct {
		ends time.Duration
		hint string
	}{{-time.Hour, "renew it"}, {time.Hour, "renew it"}, {30 * 24 * time.Hour, ""}} {
		cert, key := issue(t, "listener", row.ends).pairIn(t, t.TempDir())
		changes := map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key}
		if row.hint != "" {
			c.wants(t, changes, row.hint)
		} else if report, err := c.examine(t, changes); err != nil || !strings.Contains(report, "TLS_CERT_FILE is valid until") {
			t.Errorf("%v:\n%s", err, report)
		}
	}
}
