//go:build faults

package faults_test

import (
	"testing"
	"time"
)

// postgresAnswers is PostgreSQL's timeout and a margin.
const postgresAnswers = 10 * time.Second

func postgresFaults() map[string]scenario {
	return map[string]scenario{
		"PostgreSQL stops and returns":                                  {allowed: []string{unavailable}, seen: []string{unavailable}},
		"PostgreSQL is half-open":                                       {allowed: []string{unavailable}, seen: []string{unavailable}, longest: postgresAnswers, during: 7 * time.Second},
		"PostgreSQL answers late":                                       {allowed: []string{token}, seen: []string{token}},
		"PostgreSQL's connections are reset in the middle of an answer": {allowed: []string{unavailable}, seen: []string{unavailable}},
		"one in ten of PostgreSQL's answers is reset":                   {allowed: []string{token, unavailable}, seen: []string{token}},
		"PostgreSQL's address answers in another protocol":              {allowed: []string{unavailable}, seen: []string{unavailable}},
	}
}

// TestPostgreSQLOutageIsUnavailable: an outage must not look like "no Customer", and
// must not vend for an unknown Customer.
func TestPostgreSQLOutageIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, s := range postgresFaults() {
		// These run one by one: each reconnect starts a process in the shared
		// PostgreSQL.
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.withPostgres(t)
			s.fault, s.world = name, w
			// The workers for webhooks notice the fault, too.
			s.callers = w.bearers(w.start(t, map[string]string{"DWOLLA_WEBHOOK_SECRET": w.secret("DWOLLA_WEBHOOK_SECRET")}), 8)
			s.refused = []string{unavailable}
			s.begin = func() { failStore(name, w.toPostgres) }
			s.end = func() { healStore(w.toPostgres) }
			s.run(t)
		})
	}
}

// TestCachedLinksOutlivePostgreSQL, until they expire.
func TestCachedLinksOutlivePostgreSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withPostgres(t)
	scenario{
		fault: "PostgreSQL stops and returns, within CUSTOMER_CACHE", world: w,
		callers: w.bearers(w.start(t, map[string]string{"CUSTOMER_CACHE": "1m"}), 16),
		begin:   func() { w.toPostgres.Stop() },
		end:     func() { w.toPostgres.Start() },
		allowed: []string{token}, seen: []string{token},
	}.run(t)
}
