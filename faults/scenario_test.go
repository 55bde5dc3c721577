//go:build faults

package faults_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// scenario is a temporary fault while users ask for client tokens.
type scenario struct {
	fault   string // the row in the table
	world   *world
	callers []*caller
	begin   func()
	during  time.Duration // of the fault; zero: 3 s
	end     func()

	allowed  []string      // users' answers until the recovery, as shot.summary formats them
	rare     []string      // further answers, at most one in twenty
	seen     []string      // these must occur during the fault
	refused  []string      // further answers to attackers during the fault
	longest  time.Duration // the slowest answer; zero: 8 s
	recovery time.Duration // until the recovery; zero: 15 s
}

// healthyTokens is the number of tokens in a row after which the fault is over.
const healthyTokens = 20

// outcome is the result of a scenario.
type outcome struct {
	shots              []shot
	starting           time.Time      // the fault is being injected
	began, ended       time.Time      // the fault lasts
	during             map[string]int // how often users saw each answer
	firstGood, allGood time.Duration  // after the fault's end
	slowest            time.Duration
	tokens             int
	seenAfter          time.Duration // the beginning of the fault, until its signs were there
}

// run runs the scenario under load and checks every answer.
func (s scenario) run(t *testing.T) outcome {
	t.Helper()
	s.world.warmUp(t, s.callers[0])
	l := startLoad(t, s.callers)
	warmUp := time.Now()
	waitFor(t, "a healthy start", 30*time.Second, func() bool {
		shots := l.soFar()
		return countCallers(shots) == len(s.callers) && healthyAfter(shots, warmUp) > 0
	})
	signs := newWatch(t, s)
	o := outcome{starting: time.Now()}
	s.begin()
	o.began = time.Now()
	o.seenAfter = signs.await(t, cmp.Or(s.during, 3*time.Second))
	o.ended = time.Now()
	s.end()
	bound := cmp.Or(s.recovery, 15*time.Second)
	waitFor(t, "the recovery", bound, func() bool { return healthyAfter(l.soFar(), o.ended) > 0 })
	o.shots = l.stop()
	signs.checkEnd(t)
	o.firstGood, o.allGood = firstToken(o.shots, o.ended), healthyAfter(o.shots, o.ended)
	s.check(t, &o)
	results.add(s.fault, o)
	return o
}

// countCallers counts the callers with an answer.
func countCallers(shots []shot) int {
	callers := map[*caller]bool{}
	for _, s := range shots {
		callers[s.caller] = true
	}
	return len(callers)
}

// healthyAfter returns how long after a moment the service was healthy: it has handed out
// enough tokens in a row, to later requests. 0 means not yet.
func healthyAfter(shots []shot, from time.Time) time.Duration {
	row := 0
	for _, s := range shots {
		if s.caller.refusal != "" || s.began.Before(from) {
			continue
		}
		if s.status != http.StatusOK {
			row = 0
		} else if row++; row == healthyTokens {
			return s.ended.Sub(from)
		}
	}
	return 0
}

// firstToken returns how long after a moment the first token was handed out.
func firstToken(shots []shot, from time.Time) time.Duration {
	for _, s := range shots {
		if s.status == http.StatusOK && !s.began.Before(from) {
			return s.ended.Sub(from)
		}
	}
	return 0
}

// check checks every answer, by its time and its caller.
func (s scenario) check(t *testing.T, o *outcome) {
	t.Helper()
	o.during = map[string]int{}
	wrong, rare := map[string]int{}, 0
	for _, shot := range o.shots {
		allowed := s.allowedFor(shot, o)
		if slices.Contains(s.rare, shot.summary()) {
			rare++
		} else if !slices.Contains(allowed, shot.summary()) {
			wrong[fmt.Sprintf("%s, %s: %s, want %s", shot.caller.kind(), o.phase(shot), shot.summary(), strings.Join(allowed, " or "))]++
		}
		o.count(shot)
	}
	reportErrors(t, wrong)
	if rare > len(o.shots)/20 {
		t.Errorf("%d of %d answers were among the rare ones %q, want at most one in twenty", rare, len(o.shots), s.rare)
	}
	s.world.checkShots(t, o.shots)
	if longest := cmp.Or(s.longest, 8*time.Second); o.slowest > longest {
		t.Errorf("the slowest answer took %s, want at most %s", o.slowest, longest)
	}
	for _, what := range s.seen {
		if o.during[what] == 0 {
			t.Errorf("no user got %s during the fault; the answers were %v", what, o.during)
		}
	}
}

// count adds a shot to the table's figures.
func (o *outcome) count(s shot) {
	if s.token != "" {
		o.tokens++
	}
	o.slowest = max(o.slowest, s.ended.Sub(s.began))
	if s.caller.refusal == "" && !s.began.Before(o.began) && s.began.Before(o.ended) {
		o.during[s.summary()]++
	}
}

// checkShots fails the test if an answer has the wrong shape or promise 1 is broken.
func (w *world) checkShots(t *testing.T, shots []shot) {
	t.Helper()
	wrong := map[string]int{}
	for _, s := range shots {
		if s.defect != "" {
			wrong[s.defect]++
		}
	}
	reportErrors(t, wrong)
	for _, what := range brokenPromises(shots, w.dwolla.ClientTokens()) {
		t.Errorf("promise 1 is broken: %s", what)
	}
}

// checkHealthy fails the test unless every caller got the normal answer.
func (w *world) checkHealthy(t *testing.T, shots []shot) {
	t.Helper()
	wrong := map[string]int{}
	for _, s := range shots {
		if want := cmp.Or(s.caller.refusal, token); s.summary() != want {
			wrong[fmt.Sprintf("%s: %s, want %s", s.caller.kind(), s.summary(), want)]++
		}
	}
	reportErrors(t, wrong)
	w.checkShots(t, shots)
}

// reportErrors fails the test once for each kind of error.
func reportErrors(t *testing.T, wrong map[string]int) {
	t.Helper()
	for _, what := range slices.Sorted(maps.Keys(wrong)) {
		t.Errorf("%d times: %s", wrong[what], what)
	}
}

// allowedFor returns the answers a caller may get at the time of a shot.
func (s scenario) allowedFor(shot shot, o *outcome) []string {
	healthy := shot.ended.Before(o.starting)
	switch {
	case shot.caller.refusal != "" && healthy:
		return []string{shot.caller.refusal}
	case shot.caller.refusal != "":
		return append([]string{shot.caller.refusal}, s.refused...)
	case healthy || shot.began.After(o.ended.Add(o.allGood)):
		return []string{token}
	case !shot.began.Before(o.began) && shot.ended.Before(o.ended):
		return s.allowed
	default: // partly during the fault, or before the recovery
		return append([]string{token}, s.allowed...)
	}
}

func (o *outcome) phase(s shot) string {
	switch {
	case s.ended.Before(o.starting):
		return "before the fault"
	case s.began.Before(o.ended):
		return "during the fault"
	default:
		return "after the fault"
	}
}

func (c *caller) kind() string {
	if c.refusal != "" {
		return "who is to get " + c.refusal
	}
	return "a user"
}
