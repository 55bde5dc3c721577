//go:build faults

package faults_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"dropgate/internal/tcpproxy"
)

// part is something that vends wait for, with its metrics.
type part struct {
	name, histogram string
	check           string // its label in dropgate_dependency_check_duration_seconds, if replicas ask it
	proxy           func(*world) *tcpproxy.Proxy
}

func parts() []part {
	return []part{
		{"Dwolla", "dropgate_dwolla_request_duration_seconds", "", func(w *world) *tcpproxy.Proxy { return w.toDwolla }},
		{"PostgreSQL", "dropgate_directory_duration_seconds", "database", func(w *world) *tcpproxy.Proxy { return w.toPostgres }},
		{"Redis", "dropgate_session_store_duration_seconds", "session_store", func(w *world) *tcpproxy.Proxy { return w.toRedis }},
	}
}

// TestSlowPartIsTheOneThatRises delays each part in turn, as docs/runbook.md promises.
func TestSlowPartIsTheOneThatRises(t *testing.T) {
	t.Parallel()
	const delay, clear = 400 * time.Millisecond, 150 * time.Millisecond
	for _, slow := range parts() {
		t.Run(slow.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withPostgres(t)
			w.withRedis(t, sharedRedis(t))
			at := newSite(t, w, 1, nil)
			p, l := at.processes[0], startLoad(t, at.signInAll(t, 4))
			slow.proxy(w).Fail(tcpproxy.Fault{Delay: delay})
			waitFor(t, "slow answers", 20*time.Second, func() bool { return slowAnswers(l.soFar(), delay) >= 8 })
			before := p.durations(t)
			<-time.After(6 * time.Second) // two checks of the stores
			after := p.durations(t)
			l.stop()
			for _, other := range parts() {
				isSlow := other.name == slow.name
				if mean := after.since(before, other.histogram); isSlow != (mean > clear) {
					t.Errorf("%s takes %v on average while %s is slow", other.name, mean, slow.name)
				}
				if took := after.check[other.check]; other.check != "" && isSlow != (took > clear) {
					t.Errorf("the check of %s takes %v while %s is slow", other.name, took, slow.name)
				}
			}
		})
	}
}

// slowAnswers counts the answers that took at least so long.
func slowAnswers(shots []shot, least time.Duration) int {
	n := 0
	for _, s := range shots {
		if s.ended.Sub(s.began) >= least {
			n++
		}
	}
	return n
}

// durations are those in a replica's metrics.
type durations struct {
	sum, count map[string]float64       // of a histogram, for all operations
	check      map[string]time.Duration // the last one of each dependency
}

func (p *process) durations(t *testing.T) durations {
	t.Helper()
	_, text := p.getAdmin(t, "/metrics")
	d := durations{map[string]float64{}, map[string]float64{}, map[string]time.Duration{}}
	line := regexp.MustCompile(`(?m)^(dropgate_\w+_seconds)(_sum|_count|)(?:\{(?:dependency="(\w+)"|[^}]*)\})? (\S+)$`)
	for _, found := range line.FindAllStringSubmatch(text, -1) {
		value, err := strconv.ParseFloat(found[4], 64)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case found[2] == "_sum":
			d.sum[found[1]] += value
		case found[2] == "_count":
			d.count[found[1]] += value
		case found[1] == "dropgate_dependency_check_duration_seconds":
			d.check[found[3]] = time.Duration(value * float64(time.Second))
		}
	}
	return d
}

// since returns the average in a histogram since earlier durations.
func (d durations) since(before durations, histogram string) time.Duration {
	return time.Duration((d.sum[histogram] - before.sum[histogram]) / (d.count[histogram] - before.count[histogram]) * float64(time.Second))
}
