package app_test

import (
	"net/url"
	"strings"
	"testing"
)

// changeOfRedisURL replaces one user of Redis by another.
func changeOfRedisURL(t *testing.T) change {
	t.Helper()
	r := newOwnRedis(t)
	urls := make([]string, 2)
	for i, user := range []string{"one", "two"} {
		r.do("ACL SETUSER " + user + " on ~* &* +@all >the-very-secret-of-" + user)(t)
		urls[i] = strings.Replace(r.url, "redis://", "redis://"+user+":the-very-secret-of-"+user+"@", 1)
	}
	return change{
		before: urls[0], after: urls[1],
		start: newFixture(t).with(map[string]string{"RATE_LIMIT_IP": "1000000/1m"}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			s.vend(t, "alice", readCustomer)
			clients, err := r.ClientList(t.Context()).Result()
			if err != nil {
				t.Fatal(err)
			}
			at, err := url.Parse(value)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(clients, " user="+at.User.Username()+" ")
		},
	}
}

// changeOfDatabaseURL replaces one role of PostgreSQL by another.
func changeOfDatabaseURL(t *testing.T) change {
	t.Helper()
	r := newOwnRole(t)
	second := r.name + "_2"
	r.do(`CREATE ROLE ` + second + ` LOGIN IN ROLE ` + r.name)(t)
	t.Cleanup(func() {
		if _, err := r.Exec(`DROP ROLE ` + second); err != nil { //nolint:noctx // the test's context has ended
			t.Error(err)
		}
	})
	return change{
		before: r.url, after: strings.Replace(r.url, "//"+r.name+":", "//"+second+":", 1),
		start: newFixture(t).with(map[string]string{"CUSTOMER_SOURCE": "database", "CUSTOMER_CACHE": "0s"}),
		uses: func(t *testing.T, s *service, value string) bool {
			t.Helper()
			s.vend(t, "carol", readCustomer)
			at, err := url.Parse(value)
			if err != nil {
				t.Fatal(err)
			}
			var open int
			if err := r.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE usename = $1`, at.User.Username()).Scan(&open); err != nil {
				t.Fatal(err)
			}
			return open > 0
		},
	}
}
