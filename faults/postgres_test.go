//go:build faults

package faults_test

import (
	"testing"
	"time"
)

// postgresAnswers is within which PostgreSQL has to answer, and a little more.
const postgresAnswers = 10 * time.Second

func postgresFaults() map[string]scenario {
	return map[string]scenario{
		"PostgreSQL stops and returns":                                  {allowed: []string{unavailable}, seen: []string{unavailable}},
		"PostgreSQL is half-open":                                       {allowed: []string{unavailable}, seen: []string{unavailable}, longest: postgresAnswers, during: 7 * time.Second},
		"PostgreSQL answers late":                                       {allowed: []string{token}, seen: []string{token}},
		"PostgreSQL's connections are reset in the middle of an answer": {allowed: []string{unavailable}, seen: []string{unavailable}},
		"one in ten of PostgreSQL's answers is reset":                   {allowed: []string{token, unavailable}, seen: []string{token}},
		"PostgreSQL's address has something that is not PostgreSQL":     {allowed: []string{unavailable}, seen: []string{unavailable}},
	}
}

// TestPostgreSQLOutageIsUnavailable: not that of a user
// without a Customer, and not a token of a Customer that is not known.
func TestPostgreSQLOutageIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, s := range postgresFaults() {
		// One after the other: a server that connects again and again costs
		// PostgreSQL a process each time, and that is the same PostgreSQL.
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.withPostgres(t)
			s.fault, s.world = name, w
			s.callers = w.bearers(w.start(t, nil), 8)
			s.refused = []string{unavailable}
			s.begin = func() { spoilStore(name, w.toPostgres) }
			s.end = func() { healStore(t, w.toPostgres) }
			s.run(t)
		})
	}
}

// TestCachedLinksOutlivePostgreSQL for as long as the cache does.
func TestCachedLinksOutlivePostgreSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withPostgres(t)
	scenario{
		fault: "PostgreSQL stops and returns, within CUSTOMER_CACHE", world: w,
		callers: w.bearers(w.start(t, map[string]string{"CUSTOMER_CACHE": "1m"}), 16),
		begin:   func() { w.toPostgres.shut() },
		end:     func() { w.toPostgres.open(t) },
		allowed: []string{token}, seen: []string{token},
	}.run(t)
}
