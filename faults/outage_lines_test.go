//go:build faults

package faults_test

import (
	"testing"
	"time"
)

// TestStoreOutageIsOneLineForAllWorkers stops both stores for a while. Requests, sessions,
// rate limits, notices, webhooks, the outbox and readiness all notice it.
func TestStoreOutageIsOneLineForAllWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withPostgres(t)
	w.withRedis(t, sharedRedis(t))
	s := newSite(t, w, 2, map[string]string{"DWOLLA_WEBHOOK_SECRET": w.secret("DWOLLA_WEBHOOK_SECRET")})
	l := startLoad(t, s.signInAll(t, 8))
	warmUp := time.Now()
	waitFor(t, "a healthy start", 30*time.Second, func() bool { return healthyAfter(l.soFar(), warmUp) > 0 })
	logged := map[*process]int{}
	for _, p := range s.processes {
		logged[p] = len(p.stdout.String())
	}
	w.toPostgres.Stop()
	w.toRedis.Stop()
	<-time.After(20 * time.Second) // the length of the outage, not a wait
	began := time.Now()
	healStore(w.toPostgres)
	healStore(w.toRedis)
	waitFor(t, "the recovery", 30*time.Second, func() bool { return healthyAfter(l.soFar(), began) > 0 })
	for _, p := range s.processes {
		for _, what := range []string{"database", "session store"} {
			recovered := line("info", "dependency recovered", "found="+what)
			waitFor(t, recovered.String(), 30*time.Second, func() bool { return countLines(p.lines(t, logged[p]), recovered) > 0 })
		}
	}
	<-time.After(15 * time.Second) // for lines that come too late
	w.checkShots(t, l.stop())
	for _, p := range s.processes {
		p.checkStoreLines(t, logged[p])
	}
}

// checkStoreLines fails the test unless the log has one line for each store's outage and
// one for its end, and no other warnings.
func (p *process) checkStoreLines(t *testing.T, since int) {
	t.Helper()
	all := p.lines(t, since)
	for _, what := range []string{"database", "session store"} {
		missing := line("warn", "not ready: dependency unavailable", "missing="+what, "reason~connection refused")
		recovered := line("info", "dependency recovered", "found="+what)
		if a, b := countLines(all, missing), countLines(all, recovered); a != 1 || b != 1 {
			t.Errorf("%s: %d lines of the outage and %d of the recovery, want one each", what, a, b)
		}
	}
	others := 0
	for _, fields := range warnings(all) {
		if !containsLine(ambient(), fields) {
			others++
		}
	}
	if others != 2 {
		t.Errorf("%d warnings, want two: %v", others, warnings(all))
	}
}
